#!/bin/bash
# demo.sh demo: starts an upstream and the gateway, sends requests and checks and explains the answers.
# demo.sh run:  starts both, and leaves them running until Ctrl-C.
# `make demo` and `make run` build what this needs, and call it.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
binaries=$(cd "$here/../.." && cd "${CARGO_TARGET_DIR:-target}/release" && pwd)
work=$here/target

# The addresses are said once, in gateway.toml.
address() { sed -n "/^\[$1\]/,/^\[[a-z]/ s|.*\"\(http://\)\{0,1\}\([0-9.]*:[0-9]*\)\".*|\2|p" "$here/gateway.toml"; }
gateway=$(address listeners.public)
admin=$(address admin)
upstream=$(address upstreams.shop)

acme='x-api-key: acme-demo-key'
globex='x-api-key: globex-demo-key'

fail() {
    printf '\nFAILED: %s\n' "$1" >&2
    exit 1
}

children=()
stop() {
    for child in "${children[@]}"; do
        kill "$child" 2>/dev/null || true
    done
    wait
}
trap stop EXIT
trap 'exit 130' INT TERM

start() {
    for one in "$gateway" "$admin" "$upstream"; do
        if (exec 3<>"/dev/tcp/${one%:*}/${one#*:}") 2>/dev/null; then
            fail "$one is in use, perhaps by another demo; the addresses are in $here/gateway.toml"
        fi
    done
    "$binaries/tollgate" plugin build "$here/../third-party/tenant-guard" --out "$work" >/dev/null
    "$binaries/upstream" "$upstream" >"$work/upstream.log" 2>&1 &
    children+=($!)
    if [ "$1" = run ]; then
        "$binaries/tollgate" run "$here/gateway.toml" &
    else
        "$binaries/tollgate" run "$here/gateway.toml" >"$work/access.log" 2>"$work/gateway.log" &
    fi
    children+=($!)
    until curl -sf -o /dev/null "http://$admin/healthz"; do
        for child in "${children[@]}"; do
            kill -0 "$child" 2>/dev/null || { cat "$work"/*.log >&2; fail 'it did not start'; }
        done
        sleep 0.1
    done
}

# What the upstream says it got, one line each: its answer is {...,"headers":[["name","value"],...],...}.
seen() {
    sed -e 's/.*"headers":\[\[\(.*\)\]\],"method":"\(.*\)","target":"\(.*\)"}.*/\2 \3\n\1/' \
        -e 's/\],\[/\n/g' "$1" | sed -e 's/^"//' -e 's/"$//' -e 's/","/: /'
}

# The way through the chain that the access log tells of the request with this id.
chain() {
    local line='' tries=0
    until line=$(grep -F "\"id\":\"$1\"" "$work/access.log"); do
        tries=$((tries + 1))
        [ "$tries" -lt 50 ] || fail "the access log has no line of request $1"
        sleep 0.1
    done
    sed -e 's/.*"entries":\[\(.*\)\],"upstream":.*/\1/' -e 's/},{/}\n{/g' <<<"$line" |
        sed -n 's/.*"policy":"\([^"]*\)","side":"\([^"]*\)","verdict":"\([^"]*\)".*"us":\([0-9]*\).*/\2 \1 \3 \4/p' |
        awk -v asked="$(grep -c '"upstream":{' <<<"$line")" '
            { visit = $2 " " $3 " (" $4 " us)" }
            $1 == "in" { inward = inward (inward ? ", " : "") visit }
            $1 == "out" { outward = outward (outward ? ", " : "") visit }
            END {
                if (inward) print "way in:   " inward
                print "upstream: " (asked ? "answered" : "not asked")
                if (outward) print "way out:  " outward
            }'
}

number=0
id=''
# step STATUS TITLE WHY PATH [HEADER...]: sends a GET and tells what came of it.
step() {
    local expected=$1 title=$2 why=$3 path=$4 shown='' arguments=() status
    shift 4
    for header in "$@"; do
        arguments+=(-H "$header")
        shown+=" -H '$header'"
    done
    number=$((number + 1))
    printf '\n%d. %s\n\n' "$number" "$title"
    printf '   $ curl -i%s http://%s%s\n' "$shown" "$gateway" "$path"
    curl -sS --max-time 10 -D "$work/head" -o "$work/body" "${arguments[@]}" "http://$gateway$path"
    tr -d '\r' <"$work/head" | sed -e '/^$/d' -e 's/^/   < /'
    if grep -q '"target":' "$work/body"; then
        printf '   < (the body, which is what the upstream got:)\n%s\n' "$(seen "$work/body" | sed 's/^/   <   /')"
    else
        printf '   < %s\n' "$(cat "$work/body")"
    fi
    id=$(tr -d '\r' <"$work/head" | sed -n 's/^x-request-id: //p')
    printf '\n%s\n\n' "$(chain "$id" | sed 's/^/   /')"
    fold -s -w 92 <<<"$why" | sed -e 's/ *$//' -e 's/^/   /'
    status=$(sed -n '1s/^[^ ]* \([0-9]*\).*/\1/p' "$work/head")
    [ "$status" = "$expected" ] || fail "the status is $status and not $expected"
}

# Says what must stand in the last answer.
has() { grep -qF "$1" "$work/head" "$work/body" || fail "the answer lacks: $1"; }
lacks() { ! grep -qF "$1" "$work/head" "$work/body" || fail "the answer has: $1"; }

demo() {
    start demo
    cat <<END

Tollgate $("$binaries/tollgate" --version | cut -d' ' -f2), with examples/quickstart/gateway.toml

   client -> gateway $gateway -> upstream $upstream

   /partners/{tenant}/...  passes three plugins, each in a fresh sandbox for every request:
      partner-key  (api-key, bundled)            who calls
      stamp        (headers, bundled)            tells everybody further in who it is
      own-tenant   (tenant-guard, third party)   whether that is the path's tenant
   /pets/{id}              passes none
END
    step 200 'A route without a chain' \
        'The upstream answered, and nothing stood between.' /pets/7
    has '"Polly"'
    step 401 'A route with a chain, and no key' \
        'partner-key refused. The entries behind it did not run, and the upstream never heard of it.' \
        /partners/acme/orders
    step 401 'A wrong key' \
        'The same for a key whose SHA-256 is not in the configuration.' \
        /partners/acme/orders 'x-api-key: guessed'
    step 200 "Alice's key" \
        'partner-key knows Alice, and what is claimed of her. stamp took the key out of the request and told the upstream who she is. own-tenant found her at home. On the way out stamp set x-tier.' \
        /partners/acme/orders "$acme"
    has '["x-user","alice"]'
    has '["x-tenant","acme"]'
    has 'x-tier: gold'
    lacks 'acme-demo-key'
    local alice=$id
    step 403 "Alice, at another tenant's path" \
        'tenant-guard, 27 lines in examples/third-party, refused. stamp was entered before it, so it saw the refusal on the way out and set x-tier on that too.' \
        /partners/globex/orders "$acme"
    has 'x-tier: gold'
    step 403 'Alice, who says herself that she is of that tenant' \
        'stamp replaced what she said by what her key says, before own-tenant read it.' \
        /partners/globex/orders "$acme" 'x-tenant: globex'
    step 200 "Bob's key" \
        'The same chain, with what is claimed of Bob. Nothing is left of Alice: every call gets a new instance.' \
        /partners/globex/orders "$globex"
    has '["x-user","bob"]'
    has 'x-tier: free'
    lacks 'alice'
    step 404 'A path that no route has' 'The gateway itself answered, as a problem document (RFC 9457).' /nowhere
    cat <<END

What the gateway wrote about Alice's request (4.), one JSON line to standard output:

$(grep -F "\"id\":\"$alice\"" "$work/access.log" | fold -w 96 | sed 's/^/   /')

What http://$admin/metrics counted, for example:

$(curl -sS "http://$admin/metrics" | grep -E '^tollgate_(requests_total.*route="partners"|plugin_calls_total.*side="in")' | grep -v ' 0$' | sort | sed 's/^/   /')

All $number answers were as said. The gateway and the upstream are stopped now; \`make run\` leaves them running.
END
}

run() {
    cat <<END

Starting examples/quickstart/gateway.toml. From another terminal, try:

   curl -i http://$gateway/pets/7
   curl -i http://$gateway/partners/acme/orders
   curl -i -H '$acme' http://$gateway/partners/acme/orders
   curl -i -H '$acme' http://$gateway/partners/globex/orders
   curl -i -H '$globex' http://$gateway/partners/globex/orders
   curl -s http://$admin/metrics

Here come the gateway's log and, for each request, its line of the access log. Ctrl-C ends it.

END
    trap 'exit 0' INT TERM
    start run
    wait "${children[-1]}"
}

case "${1:-}" in
demo | run) mkdir -p "$work" && rm -f "$work"/*.log && "$1" ;;
*) fail 'usage: demo.sh demo|run' ;;
esac
