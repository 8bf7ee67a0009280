//! Just enough HTTP/1.1 to post a webhook and read a feed.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// Nobody took the connection: the request was never under way.
    NotSent,
    /// The request was under way when the connection broke.
    Broken,
}

/// A connection that is kept while it lasts.
pub struct Client {
    address: String,
    open: Option<BufReader<TcpStream>>,
}

const PATIENCE: Duration = Duration::from_secs(10);

impl Client {
    pub fn new(url: &str) -> Self {
        let address = url.trim_start_matches("http://").split('/').next().unwrap_or_default();
        Self { address: address.to_owned(), open: None }
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(BufReader::new(stream))
    }

    pub fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, NoAnswer> {
        let mut stream = match self.open.take() {
            Some(stream) => stream,
            None => self.connect().map_err(|_| NoAnswer::NotSent)?,
        };
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n",
            self.address,
            body.len()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        stream.get_mut().write_all(&bytes).map_err(|_| NoAnswer::Broken)?;
        let (answer, keep) = read_answer(&mut stream).map_err(|_| NoAnswer::Broken)?;
        if keep {
            self.open = Some(stream);
        }
        Ok(answer)
    }
}

fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

fn read_answer(stream: &mut impl BufRead) -> io::Result<(Answer, bool)> {
    let malformed = || io::Error::from(io::ErrorKind::InvalidData);
    let first = read_line(stream)?;
    let status =
        first.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(malformed)?;
    let (mut length, mut chunked, mut keep) = (None, false, true);
    loop {
        let line = read_line(stream)?;
        let Some((name, value)) = line.split_once(':') else { break };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = Some(value.parse().map_err(|_| malformed())?),
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            "connection" => keep = !value.eq_ignore_ascii_case("close"),
            _another => {}
        }
    }
    let mut body = vec![];
    match length {
        _ if chunked => loop {
            let size = read_line(stream)?;
            let size = size.split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(size, 16).map_err(|_| malformed())?;
            let before = body.len();
            body.resize(before + size, 0);
            stream.read_exact(&mut body[before..])?;
            read_line(stream)?;
            if size == 0 {
                break;
            }
        },
        Some(length) => {
            body.resize(length, 0);
            stream.read_exact(&mut body)?;
        }
        None => {
            stream.read_to_end(&mut body)?;
            keep = false;
        }
    }
    Ok((Answer { status, body }, keep))
}
