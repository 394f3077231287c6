# failures.awk: what a step of `make test` printed, cut down to which tests failed and why. Called by suite.sh.
#
# It knows how cargo's tests, minitest, pytest and our own C programs tell a failure; of anything else, and of a step that was
# ended from outside, it prints the last lines and the tests that were still running.
BEGIN { lines = 20; width = 300 }

function shorten(text) { return length(text) > width ? substr(text, 1, width) " ..." : text }
function tell(text) { print "    " shorten(text); told++ }

# A test of cargo's prints panics that it expects, too: the last one of the thread with the test's own name is the cause, else
# the last one of any.
function end_block(    i, from, size) {
    if (test == "") return
    print "  " test; told++
    from = own ? own : panicked
    if (!from) from = said > lines ? said - lines + 1 : 1
    for (i = from; i <= said && block[i] !~ /^(stack backtrace:|note: (run with|Some details))/; i++)
        if (block[i] != "") message[++size] = block[i]
    # What a process said may be in the middle of a message, and what was expected at its end.
    for (i = 1; i <= size; i++)
        if (i <= lines - 5 || i > size - 5) tell(message[i])
        else if (i == lines - 4) tell("... " size - lines " lines more ...")
    test = ""
}
/^---- .* stdout ----$/ {
    end_block()
    test = $0; sub(/^---- /, "", test); sub(/ stdout ----$/, "", test)
    said = 0; own = 0; panicked = 0
    next
}
test != "" && /^failures:$/ { end_block() }
test != "" {
    block[++said] = $0
    if ($0 ~ /panicked at /) { panicked = said; if (index($0, "thread '" test "'")) own = said }
}

# Minitest: "  1) Failure:", pytest: "FAILED file::test - what", C: "FAILED: ..." and indented what was said.
left > 0 { if ($0 == "" || (indented && $0 !~ /^ /)) left = 0; else { tell($0); left-- } }
test == "" && left == 0 && /^ *[0-9]+\) (Failure|Error):$/ { left = lines; indented = 0 }
test == "" && /^(FAILED|ERROR):? / { print "  " shorten($0); told++; left = lines; indented = 1 }

# Of a test of which nothing but this was said, nobody knows the end.
/^test .* has been running for over/ { running[$2] = 1 }
/^test .* \.\.\. / { delete running[$2] }

{ last[NR % lines] = $0 }
END {
    end_block()
    for (one in running) { print "  " one " was still running"; told++ }
    if (!told) for (i = NR - lines + 1; i <= NR; i++) if (i > 0) tell(last[i % lines])
}
