//! What goes to a compiler and comes back: one byte that says what it is, a length, and so many bytes.

use std::io::{self, ErrorKind, Read, Write};

use super::job::Job;
use crate::limits;

pub struct Request<'r> {
    pub job: Job,
    pub input: &'r [u8],
}

impl Request<'_> {
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let job = match self.job {
            Job::Compile => 0,
            Job::CompileLarge => 1,
            Job::Componentize => 2,
            Job::CheckSchema => 3,
        };
        write(to, job, self.input)
    }

    /// The next request, with its input.
    pub fn read(from: &mut impl Read) -> io::Result<(Job, Vec<u8>)> {
        let (job, input) = read(from)?;
        let job = match job {
            0 => Job::Compile,
            1 => Job::CompileLarge,
            2 => Job::Componentize,
            3 => Job::CheckSchema,
            _ => return Err(ErrorKind::InvalidData.into()),
        };
        Ok((job, input))
    }
}

pub struct JobResult {
    /// Whether `bytes` are what was asked for; else they are a text that says why not.
    pub done: bool,
    pub bytes: Vec<u8>,
}

impl JobResult {
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        write(to, u8::from(self.done), &self.bytes)
    }

    pub fn read(from: &mut impl Read) -> io::Result<JobResult> {
        let (done, bytes) = read(from)?;
        let done = match done {
            0 => false,
            1 => true,
            _ => return Err(ErrorKind::InvalidData.into()),
        };
        Ok(JobResult { done, bytes })
    }
}

fn write(to: &mut impl Write, first: u8, bytes: &[u8]) -> io::Result<()> {
    let mut head = [first; 1 + size_of::<u64>()];
    head[1..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
    to.write_all(&head)?;
    to.write_all(bytes)?;
    to.flush()
}

fn read(from: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut first = [0];
    from.read_exact(&mut first)?;
    let mut length = [0; size_of::<u64>()];
    from.read_exact(&mut length)?;
    let length = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > limits::loading::COMPILED_BYTES_MAX {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(length)
        .map_err(|_| ErrorKind::OutOfMemory)?;
    bytes.resize(length, 0);
    from.read_exact(&mut bytes)?;
    let [first] = first;
    Ok((first, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Vec::new();
        for (job, input) in [
            (Job::Compile, &b"one"[..]),
            (Job::CompileLarge, b""),
            (Job::Componentize, b"three"),
            (Job::CheckSchema, b"\0"),
        ] {
            Request { job, input }.write(&mut bytes).expect("room");
            let read = Request::read(&mut &bytes[..]).expect("a request");
            assert_eq!(read, (job, input.to_vec()));
            bytes.clear();
        }
        let answer = JobResult {
            done: true,
            bytes: b"code".to_vec(),
        };
        answer.write(&mut bytes).expect("room");
        let read = JobResult::read(&mut &bytes[..]).expect("an answer");
        assert!(read.done && read.bytes == b"code");
        // What breaks off, says too much or is something else is an error.
        assert!(JobResult::read(&mut &bytes[..bytes.len() - 1]).is_err());
        assert!(JobResult::read(&mut &[1, 255, 255, 255, 255, 255, 255, 255, 255][..]).is_err());
        assert!(JobResult::read(&mut &[2, 0, 0, 0, 0, 0, 0, 0, 0][..]).is_err());
        assert!(Request::read(&mut &[4, 0, 0, 0, 0, 0, 0, 0, 0][..]).is_err());
    }
}
