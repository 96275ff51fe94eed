# SPDX-License-Identifier: LGPL-2.1-or-later
# A server that lies, breaks off or is busy is noticed: what is copied is right, or there is no copy.
source "$ROOT/tests/cli/http_helpers.sh"
make_disk files/disk.raw
truncate -s 1G files/large.raw
serve web
web=http://127.0.0.1:$(<web.port)

# What is no answer to the question.
: >web.log
expect 1 "the server sends the whole file where a part of it was asked for" ferry convert "$web/whole/large.raw" out.raw
expect 1 "hint: .*download the file, or pipe a raw disk: curl ADDRESS \| vmferry convert - TARGET" ferry convert "$web/whole/large.raw" out.raw
has_both() {
  [[ $(requests web) == 2 ]]
}
until_true 5 has_both
(($(sent web) < 100000000)) || fail "the whole was sent: $(sent web)"
refused "asked for bytes 0-65535, the server says that it sends 5-65540" shift=5
refused "asked for bytes|say how long|makes no sense" "total=*"
refused "makes no sense|asked for bytes" total=-19999999
refused "the server says that 65536 bytes are 65532" less=4
refused "sends more bytes than it had said" more=3
refused "no Content-Range" no-range
refused "sends it encoded \(gzip\)" encoded
refused "neither an ETag nor when it was modified" weak,no-time
expect 1 "nothing at this address \(status 404\)" ferry convert "$web/nosuch" out.raw
refused "does not give it \(status 403\)" status=403
refused "answers with status 400" status=400
refused "Too large response headers" head=500 --stall-timeout 1
expect 1 "127.0.0.1.*refused|connect" ferry convert http://127.0.0.1:1/disk.raw out.raw

# What passes.
copied weak
copied no-etag
copied no-time
copied chunked
copied cut-once=100000
copied cut=1500000
copied reset=4
copied status=503,every=3
copied status=429,first=1,retry=1
copied status=500,first=2,from=2
copied status=503,from=2,first=2,retry=imf:-100
copied status=503,from=2,first=2,retry=nonsense
# A redirect leads elsewhere when the place of before is gone.
serve mirror
copied "first-to=http:||127.0.0.1:$(<mirror.port)|hang=3|disk.raw" --stall-timeout 2

# What does not pass in time.
for way in status=503,from=3 reset=1 hang=3; do
  SECONDS=0
  refused "disk.raw: (read at|open: ).*(busy|no answer for|reset|Recv|Send|Empty reply)" "$way" --stall-timeout 1
  ((SECONDS < 6)) || fail "$way took $SECONDS s"
done
refused "read at [0-9]+ KiB.*says: again in 100 s" status=503,from=2,retry=100 --stall-timeout 2
for date in imf rfc850 asctime; do
  refused "says: again in (99|100) s" "status=503,from=2,retry=$date:100" --stall-timeout 2
done
