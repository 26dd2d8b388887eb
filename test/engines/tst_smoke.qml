// Qt's engine runs the calls, with the module imported as the widget imports it.
import QtQuick
import QtTest
import "../core/core.mjs" as Core
import "calls.mjs" as Calls

TestCase {
    name: "Smoke"

    // Files go through XMLHttpRequest, which two environment variables allow.
    function test_calls() {
        const read = new XMLHttpRequest();
        read.open("GET", "file:///smoke/calls.json", false);
        read.send();
        const calls = JSON.parse(read.responseText);
        const answer = Calls.runCalls((name, args) => Core[name].apply(null, args), calls);
        const write = new XMLHttpRequest();
        // Not synchronous as above: Qt then makes the file but leaves it empty.
        write.open("PUT", "file:///tmp/qml.json");
        write.send(answer);
        tryVerify(() => write.readyState === XMLHttpRequest.DONE);
    }
}
