# SPDX-License-Identifier: LGPL-2.1-or-later
# Signals stop within a second and clean up; kill -9 leaves nothing under the final name, and the next run clears up.
make_disk disk.raw

interrupt() { # SIGNAL STATUS
  local status=0 start end pid
  "$VMFERRY" convert --rate-limit 100K disk.raw out.raw 2>said.txt &
  pid=$!
  until_true 10 test -s .out.raw.vmferry-partial
  start=$(date +%s%N)
  kill "-$1" "$pid"
  wait "$pid" || status=$?
  end=$(date +%s%N)
  [[ $status == "$2" ]] || fail "status $status after $1, not $2: $(cat said.txt)"
  (((end - start) / 1000000 < 1000)) || fail "took $(((end - start) / 1000000)) ms to stop"
  [[ ! -e out.raw ]] || fail "$1 left a target under its final name"
}

# A background job of a script ignores SIGINT from birth; vmferry takes it all the same (sigtimedwait).
interrupt INT 130
no_leftovers
interrupt TERM 143
no_leftovers
# The terminal goes away, somebody's word, a limit on the time of the processor: all of them would have ended it.
for signal in HUP QUIT XCPU USR1 USR2 ALRM VTALRM PROF PWR; do
  interrupt $signal $((128 + $(kill -l $signal)))
  no_leftovers
done
interrupt KILL 137
[[ -e .out.raw.vmferry-partial ]] || fail "the test expects a left-over"
ferry convert -q disk.raw out.raw
same disk.raw out.raw
no_leftovers

# Two runs to one target: the second is refused, the first goes on.
"$VMFERRY" convert -q --rate-limit 2M disk.raw two.raw &
first=$!
until_true 10 test -e .two.raw.vmferry-partial
expect 1 "another vmferry is writing this target" ferry convert disk.raw two.raw
wait "$first"
same disk.raw two.raw

# Somebody takes the name while we copy.
"$VMFERRY" convert -q --rate-limit 2M disk.raw taken.raw 2>said.txt &
first=$!
until_true 10 test -e .taken.raw.vmferry-partial
echo mine >taken.raw
! wait "$first" || fail "replaced a file that was made meanwhile"
grep -q "meanwhile" said.txt
[[ $(cat taken.raw) == mine ]] || fail "the other's file was lost"
no_leftovers

rm out.raw
# What nohup ignores stays ignored: here the signal after it is the one that ends the run.
(trap '' HUP && exec "$VMFERRY" convert --rate-limit 100K disk.raw out.raw) 2>said.txt &
pid=$!
until_true 10 test -s .out.raw.vmferry-partial
kill -HUP $pid
kill -TERM $pid
status=0
wait $pid || status=$?
[[ $status == 143 ]] || fail "status $status after a SIGHUP that is ignored"
no_leftovers

# Several signals for one reason are one: a terminal and its shell both say SIGHUP, timeout(1) tells process and group.
python3 - "$VMFERRY" <<'END'
import os, signal, subprocess, sys, time

def told(*signals):
    run = subprocess.Popen([sys.argv[1], "convert", "--rate-limit", "100K", "disk.raw", "out.raw"], stderr=subprocess.PIPE)
    for _ in range(200):
        if os.path.exists(".out.raw.vmferry-partial") and os.stat(".out.raw.vmferry-partial").st_size > 0:
            break
        time.sleep(0.05)
    for each in signals:
        run.send_signal(each)
    said = run.communicate()[1]
    assert run.returncode - 128 in signals, (signals, run.returncode, said)
    assert b"twice" not in said, (signals, said)
    assert not os.path.exists(".out.raw.vmferry-partial"), (signals, said)

told(signal.SIGHUP, signal.SIGHUP, signal.SIGTERM)
told(signal.SIGXCPU, signal.SIGXCPU, signal.SIGXCPU)
told(signal.SIGTERM, signal.SIGTERM, signal.SIGHUP)
END

# An interrupted comparison has no result: neither "same" nor "different".
head -c 100M /dev/urandom >large.raw
python3 - "$VMFERRY" <<'END'
import signal, subprocess, sys

# With a thread for them. Around its exec, Python's child has signals blocked as well.
def takes_signals(pid):
    with open(f"/proc/{pid}/status") as status:
        facts = dict(line.split(":", 1) for line in status)
    return int(facts.get("Threads", "1")) > 1 and int(facts["SigBlk"], 16) >> (signal.SIGTERM - 1) & 1

def interrupted(number):
    run = subprocess.Popen([sys.argv[1], "compare", "-j", "1", "large.raw", "large.raw"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    while run.poll() is None and not takes_signals(run.pid):
        pass
    for each in (signal.SIGSTOP, number, signal.SIGCONT):
        run.send_signal(each)
    said = run.communicate()[0]
    return (run.returncode, said)

for number in (signal.SIGINT, signal.SIGHUP):
    # One that was quicker than we proves nothing.
    results = (interrupted(number) for _ in range(50))
    result = next((each for each in results if each[0] != 0), None)
    assert result == (128 + number, b""), result
END
