//! Keys and tokens that Python's `cryptography` made, so that nothing here shares code with the gateway.
//! The payload of all tokens is [`PAYLOAD`].

pub const PAYLOAD: &str = r#"{"sub":"alice","iat":1700000000}"#;
/// Signed by the key of RSA.
pub const RS256: &str = "\
    eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYSJ9.eyJzdWIiOiJhbGljZSIsImlhdCI6MTcwMDAwMDAwMH0.NvBPcG0\
    O9NrYJYuCDAcaW20eXGlx5DSw3pLQ5v2GkLInyXx9HVPNiE8Uhmg_BSgitjdI50PKv8225SJIYaKAjPKFTnH1Hpm\
    87Nl4BOUfM9fG03vYLnaCrfMN28VeoNnGGa7Pnp70xdCwUpy_j02BYcVHvBhz_rEzIkSrq8TjtFEUHXkG5O6v3PC\
    aGx_P_6bpOp0rj1YBAKI1S--GafoFbXGCiPJtnqfOkm4RNeV7_1ruP2V5HG7nENcuQZeyNZsa4FUbhCd1yXOyQxW\
    Jdx4dAWpy73mo0NsxN9AFDjFAdMwioPdZ8u-sc7p1clPXc_DZxxoksFi_uLTtPpKL-Zdd7g";
/// Signed by the key on P-256.
pub const ES256: &str = "\
    eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjIn0.eyJzdWIiOiJhbGljZSIsImlhdCI6MTcwMDAwMDAwMH0.yS-\
    FwCWuxIyd8es17aSvpUNkLCqeDzYN9dL8rPzl4SCqR48b2lnNMB38vqnwIw7ilxXStShtF0dhV4C06rNBgA";
/// Signed by the first key of Ed25519.
pub const EDDSA: &str = "\
    eyJhbGciOiJFZERTQSIsImtpZCI6ImVkIn0.eyJzdWIiOiJhbGljZSIsImlhdCI6MTcwMDAwMDAwMH0._4d4t-\
    qNQuv8j9GI2BjNmlJugvB0hyW725GwWH2Tjbe-AuDVrjICgz8jg_Ij6ExGxBq6u2655Jmtw3_n-RPSAA";
/// Signed by the second one.
pub const EDDSA_TWO: &str = "\
    eyJhbGciOiJFZERTQSIsImtpZCI6InR3byJ9.eyJzdWIiOiJhbGljZSIsImlhdCI6MTcwMDAwMDAwMH0.tdMUkDw\
    txvVHDg8moNcBCpoJbAT-uN1xt7je1b00tCAzZYkHwZgBxudb2zT5f8I3Eb92C9SAP7KMvpFcSy4SBg";
/// Made with the shared key.
pub const HS256: &str = "\
    eyJhbGciOiJIUzI1NiIsImtpZCI6InNoYXJlZCJ9.eyJzdWIiOiJhbGljZSIsImlhdCI6MTcwMDAwMDAwMH0.5D0\
    jLDokQppcl4VUkTzSJlfMtsDKakhQ5JjgYpCGq-s";
/// Made with the RSA key's public part, in PEM, as the secret of an HMAC (RFC 8725, section 2.1).
pub const CONFUSED_PEM: &str = "\
    eyJhbGciOiJIUzI1NiIsImtpZCI6InJzYSJ9.eyJzdWIiOiJhbGljZSIsImlhdCI6MTcwMDAwMDAwMH0.wIDSgSN\
    4-OtY63LJBOlNSVp9tdT7P0NO_My7C7brYco";
/// The same, in DER.
pub const CONFUSED_DER: &str = "\
    eyJhbGciOiJIUzI1NiIsImtpZCI6InJzYSJ9.eyJzdWIiOiJhbGljZSIsImlhdCI6MTcwMDAwMDAwMH0.Xb0ytHn\
    6G5w_hQMvZ7t1ur227JSRH8D8aVDgtveE0Qg";
/// The same with the bytes of the first key of Ed25519.
pub const CONFUSED_ED: &str = "\
    eyJhbGciOiJIUzI1NiIsImtpZCI6ImVkIn0.eyJzdWIiOiJhbGljZSIsImlhdCI6MTcwMDAwMDAwMH0.MPF91U95\
    -a7h2M2_bfxtAbHqJQJ_Luu0OJmIVofPe1s";
/// Signed by nobody, and says so.
pub const NONE: &str =
    "eyJhbGciOiJub25lIiwia2lkIjoicnNhIn0.eyJzdWIiOiJhbGljZSIsImlhdCI6MTcwMDAwMDAwMH0.";
/// The modulus of the key of RSA; its exponent is `AQAB`.
pub const RSA_N: &str = "\
    8-UvFbPSu1IKERS7tUmVqpAMni3-\
    8RjnmAcehZSdZZVNLKsIXFU32Hi4nmnIjnrwSiL8dcOoZrtOdrMpKWU78PEwUBOAYv_QsZYOJU47XoZr9w69KtAo\
    0YmxfNlxpT93kgKYtyrGAaVq6V14z-\
    G_apJylnYuxCrOMiCMfxo6fUgAQzhZYNmSm5cDiGCSVV9vIUA3IcYr2IE50kHUG-NxWnBh7b1UfRR2uxipiKecSv\
    gEOfbUwf_vTTl7iAsKLFe88YTZGciY15BE4mKvT8wp643YRoDH7xTgniIdUfBGR6DvikVCvoe5T0IO5ELPo5zQlo\
    5QGbQLRnVoE0MWvT1G3w";
/// The point of the key on P-256.
pub const EC_X: &str = "mWp1qGW7mEEBABGQnL8BGD6a4b5inq3-U5LoYLDoxDI";
pub const EC_Y: &str = "xRaChTIREZrzPGi9RY7npwLkX-P2sW4dIFQoDgQ8vZU";
/// The first key of Ed25519.
pub const ED_X: &str = "cZ-KAgr-xitKOvwq7rTrcAz1rvDdwOfSqbRzPo7RdD4";
/// The second one.
pub const ED_TWO_X: &str = "Yw7Ptt_A1nZOTesOZp7yvMIInZaVFEZOK3KEGduseKc";
/// The shared key.
pub const SHARED_K: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY";
/// The first key of Ed25519 as a SubjectPublicKeyInfo, in hexadecimal digits.
pub const ED_SPKI: &str =
    "302a300506032b6570032100719f8a020afec62b4a3afc2aeeb4eb700cf5aef0ddc0e7d2a9b4733e8ed1743e";
/// Its signature of `MESSAGE`.
pub const ED_SIG: &str = "\
    3194e17c504b99cf3949b8c820d9c7c10e6f08969314825cc54c26ce193a8c2db8c58225f4c7beccb6fde650\
    b21d4337be2816823691589edebd477544d65b0c";
pub const MESSAGE: &str = "6d657373616765";
