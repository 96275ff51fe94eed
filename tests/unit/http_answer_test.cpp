// SPDX-License-Identifier: LGPL-2.1-or-later
// What servers say of a range, also when they are out to harm.
#include "lib/store/http/http_answer.h"

#include "lib/store/http/http_trouble.h"
#include "tests/unit/catch.h"

namespace vmferry::test {
namespace {

HttpAnswer head(const std::vector<std::string>& lines) {
  HttpAnswer answer;
  for (const std::string& line : lines) {
    read_head_line(answer, line + "\r\n");
  }
  return answer;
}

HttpAnswer part(const std::string& range, const std::string& more = "X: y") {
  return head({"HTTP/1.1 206 Partial Content", "Content-Range: " + range, more});
}

constexpr ContentRange::Part kAsked = {10, 19};

}  // namespace

TEST_CASE("a Content-Range is taken only if all of it makes sense") {
  const auto whole = parse_content_range("bytes 0-99/1000");
  REQUIRE(whole);
  CHECK(whole->part == ContentRange::Part{0, 99});
  CHECK(whole->total == 1000);
  CHECK(parse_content_range("BYTES 0-0/1")->part == ContentRange::Part{0, 0});
  CHECK(!parse_content_range("bytes 0-0/*")->total);
  CHECK(!parse_content_range("bytes */77")->part);
  CHECK(parse_content_range("bytes */77")->total == 77);
  CHECK(parse_content_range("bytes 0-18446744073709551614/18446744073709551615"));
  for (const char* bad : {"",
                          "bytes",
                          "bytes ",
                          "bytes 0-1",
                          "bytes */*",
                          "bytes 1-0/10",
                          "bytes 0-10/10",
                          "bytes -1-2/10",
                          "bytes +1-2/10",
                          "bytes 0x0-2/10",
                          "bytes 0-2/-1",
                          "bytes 0-2/10 x",
                          "bytes 0 - 2/10",
                          "bytes 0-2/18446744073709551616",
                          "bytes 0-99999999999999999999/*",
                          "bytes 0-2/",
                          "bytes /10",
                          "items 0-2/10",
                          "bytes=0-2/10",
                          "bytes 0-2/10/10"}) {
    CAPTURE(bad);
    CHECK(!parse_content_range(bad));
  }
}

TEST_CASE("a head is read line by line") {
  const HttpAnswer answer = head({"HTTP/1.1 206 Partial Content", "content-RANGE:bytes 0-9/10  ",
                                  "ETag:\t\"abc\"", "Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT",
                                  "Content-Length: 10", "Content-Encoding: identity", ""});
  CHECK(answer.status == 206);
  CHECK(answer.range->part == ContentRange::Part{0, 9});
  CHECK(answer.etag == "\"abc\"");
  CHECK(answer.last_modified == "Wed, 21 Oct 2015 07:28:00 GMT");
  CHECK(answer.length == 10);
  CHECK(answer.encoding.empty());
  CHECK(answer.contradiction.empty());

  const HttpAnswer second = head(
      {"HTTP/1.1 100 Continue", "ETag: \"old\"", "Content-Length: x", "", "HTTP/1.1 503 Busy"});
  CHECK(second.status == 503);
  CHECK(second.etag.empty());
  CHECK(second.contradiction.empty());
}

TEST_CASE("only a strong ETag of plain characters counts") {
  for (const std::string& tag :
       {std::string("W/\"abc\""), std::string("abc"), std::string("\""), std::string("\"\""),
        std::string("\"a\"b\""), std::string("\"a b\""), std::string("\"a\x01\""),
        std::string("\"\xff\""), "\"" + std::string(5000, 'a') + "\""}) {
    CAPTURE(tag);
    CHECK(head({"HTTP/1.1 206 ", "ETag: " + tag}).etag.empty());
  }
}

TEST_CASE("lines that contradict one another, or are none, do not pass for an answer") {
  CHECK(head({"HTTP/1.1 206 ", "Content-Length: 10", "Content-Length: 10"}).contradiction.empty());
  for (const auto& [first, second] :
       {std::pair("Content-Length: 10", "Content-Length: 11"), std::pair("Content-Length: -1", ""),
        std::pair("Content-Length: 99999999999999999999", ""),
        std::pair("ETag: \"a\"", "ETag: \"b\""),
        std::pair("Content-Range: bytes 0-1/2", "Content-Range: bytes 0-1/3"),
        std::pair("Content-Range: bytes nonsense", "")}) {
    CAPTURE(first);
    CHECK(!head({"HTTP/1.1 206 ", first, second}).contradiction.empty());
  }
  for (const char* status :
       {"HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 abc", "HTTP/1.1 2", "HTTP/1.1 -06", "HTTP/1.1 099"}) {
    CAPTURE(status);
    CHECK(head({status}).status == 0);
  }
  // What is said of a contradiction is fit for a terminal, and short.
  const HttpAnswer rude =
      head({"HTTP/1.1 206 ", "Content-Range: \x1b[2J" + std::string(9000, 'x')});
  CHECK(rude.contradiction.find('\x1b') == std::string::npos);
  CHECK(rude.contradiction.size() < 1000);
}

TEST_CASE("a part is checked against what was asked for") {
  CHECK(fault_of_part(part("bytes 10-19/100"), kAsked, 100).empty());
  CHECK(fault_of_part(part("bytes 10-19/100"), kAsked, std::nullopt).empty());
  CHECK(fault_of_part(part("bytes 10-14/15"), kAsked, 15).empty());  // its end
  CHECK(fault_of_part(part("bytes 10-19/100", "Content-Length: 10"), kAsked, 100).empty());
  for (const auto& [range, more] :
       {std::pair("bytes 11-20/100", "X: y"), std::pair("bytes 10-18/100", "X: y"),
        std::pair("bytes 10-20/100", "X: y"), std::pair("bytes 0-9/100", "X: y"),
        std::pair("bytes */100", "X: y"), std::pair("bytes 10-19/*", "X: y"),
        std::pair("bytes 10-19/100", "Content-Length: 9"),
        std::pair("bytes 10-19/100", "Content-Length: 11"),
        std::pair("bytes 10-19/100", "Content-Encoding: gzip"),
        std::pair("bytes 10-19/100", "Content-Range: bytes 10-19/101"),
        std::pair("nonsense", "X: y")}) {
    CAPTURE(range, more);
    CHECK(!fault_of_part(part(range, more), kAsked, 100).empty());
  }
  CHECK_THAT(fault_of_part(head({"HTTP/1.1 206 "}), kAsked, 100), Contains("no Content-Range"));
}

TEST_CASE("another version is told by size, ETag or time") {
  const HttpVersion tagged = {100, "\"a\"", "Mon"};
  const HttpVersion timed = {100, "", "Mon"};
  CHECK(change_of(tagged, part("bytes 10-19/100", "ETag: \"a\"")).empty());
  CHECK(change_of(timed, part("bytes 10-19/100", "Last-Modified: Mon")).empty());
  CHECK_THAT(change_of(tagged, part("bytes 10-19/101", "ETag: \"a\"")), Contains("101 bytes now"));
  CHECK_THAT(change_of(tagged, part("bytes 10-19/100", "ETag: \"b\"")), Contains("\"b\" now"));
  CHECK_THAT(change_of(tagged, part("bytes 10-19/100")), Contains("no ETag any more"));
  CHECK_THAT(change_of(tagged, part("bytes 10-19/100", "ETag: W/\"a\"")), Contains("no ETag"));
  CHECK_THAT(change_of(timed, part("bytes 10-19/100", "Last-Modified: Tue")), Contains("Tue now"));
  CHECK_THAT(change_of(timed, part("bytes 10-19/100")), Contains("no Last-Modified"));
}

TEST_CASE("what may pass is tried again, and nothing else") {
  using End = HttpOutcome::End;
  const auto ended = [](End end, int status) {
    HttpOutcome outcome;
    outcome.end = end;
    outcome.answer.status = status;
    return outcome;
  };
  for (const int status : {408, 429, 500, 502, 503, 504}) {
    CHECK(may_pass(ended(End::kDone, status), false));
  }
  for (const int status : {200, 204, 301, 400, 401, 403, 404, 410, 412, 416, 501, 505}) {
    CHECK(!may_pass(ended(End::kDone, status), true));
  }
  CHECK(may_pass(ended(End::kTransient, 0), false));
  CHECK(may_pass(ended(End::kTransient, 206), true));
  CHECK(!may_pass(ended(End::kUnreachable, 0), false));
  CHECK(may_pass(ended(End::kUnreachable, 0), true));
  CHECK(!may_pass(ended(End::kFailed, 0), true));
  CHECK(!may_pass(ended(End::kUnwanted, 206), true));
  CHECK(trouble_of(ended(End::kDone, 404), true).kind == ErrorKind::kNotFound);
  CHECK(trouble_of(ended(End::kDone, 412), true).kind == ErrorKind::kConflict);
  CHECK_THAT(trouble_of(ended(End::kTransient, 0), true).hint, Contains("--stall-timeout"));
  CHECK(trouble_of(ended(End::kTransient, 0), false).hint.empty());  // half a minute at most
  HttpOutcome busy = ended(End::kDone, 503);
  busy.pause = std::chrono::seconds(100);
  CHECK_THAT(trouble_of(busy, true).cause, Contains("(status 503) and says: again in 100 s"));
  CHECK(is_http_refusal(400));
  CHECK(!is_http_refusal(503));
  CHECK_THAT(trouble_of(ended(End::kUnwanted, 200), true).hint,
             Contains("vmferry convert - TARGET"));
}

}  // namespace vmferry::test
