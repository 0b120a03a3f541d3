//! Requests out of the bytes that went over the wire (HTTP/1.1, RFC 9112).

use std::collections::BTreeMap;

use serde_json::Value;

/// A request with every part by its name.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// Null where there is none.
    pub(crate) body: Value,
    /// All of it.
    pub(crate) raw: Vec<u8>,
}

/// All requests of these connections; panics on whatever it can't read, so that nothing goes unseen.
pub(crate) fn read(connections: &[Vec<u8>]) -> Vec<Request> {
    let mut requests = Vec::new();
    for bytes in connections {
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (request, size) = first(rest);
            requests.push(request);
            rest = &rest[size..];
        }
    }
    requests
}

fn first(bytes: &[u8]) -> (Request, usize) {
    let head = bytes.windows(4).position(|end| end == b"\r\n\r\n").expect("the end of a head") + 4;
    let text = std::str::from_utf8(&bytes[..head]).expect("a head in ASCII");
    let mut lines = text.trim_end().split("\r\n");
    let line: Vec<&str> = lines.next().unwrap().split(' ').collect();
    let [method, target, "HTTP/1.1"] = line[..] else { panic!("no request line: {line:?}") };
    let headers: BTreeMap<String, String> = lines
        .map(|line| line.split_once(':').expect("a header"))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    assert!(!headers.contains_key("transfer-encoding"), "this reader knows no chunks");
    let size = head + headers.get("content-length").map_or(0, |length| length.parse::<usize>().unwrap());
    let url = url::Url::parse(&format!("http://shop{target}")).unwrap();
    let body = &bytes[head..size];
    let request = Request {
        method: method.to_owned(),
        path: url.path().to_owned(),
        query: url.query_pairs().into_owned().collect(),
        headers,
        body: if body.is_empty() { Value::Null } else { serde_json::from_slice(body).unwrap() },
        raw: bytes[..size].to_vec(),
    };
    (request, size)
}

#[test]
fn two_requests_of_one_connection_are_told_apart() {
    let bytes = b"POST /a?b=c%20d HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n{\"e\":1}GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    let requests = read(&[bytes.to_vec()]);
    assert_eq!(requests.len(), 2);
    assert_eq!((requests[0].query["b"].as_str(), &requests[0].body["e"]), ("c d", &Value::from(1)));
    assert_eq!((requests[1].path.as_str(), requests[1].headers["host"].as_str()), ("/", "x"));
}
