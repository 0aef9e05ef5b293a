// The WebSocket and the stream of the index page, by addresses relative to it.
"use strict";

const heard = document.getElementById("heard");
let socket = null;

function show(line) {
    heard.append(`${line}\n`);
}

function connected() {
    if (socket && socket.readyState <= WebSocket.OPEN) {
        return socket;
    }
    const address = new URL("ws", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    socket = new WebSocket(address);
    socket.addEventListener("message", (event) => show(`ws: ${event.data}`));
    socket.addEventListener("error", () => show("ws: no connection"));
    return socket;
}

document.getElementById("echo").addEventListener("submit", (event) => {
    event.preventDefault();
    const words = document.getElementById("words").value;
    const open = connected();
    if (open.readyState === WebSocket.OPEN) {
        open.send(words);
    } else {
        open.addEventListener("open", () => open.send(words), { once: true });
    }
});

document.getElementById("stream").addEventListener("submit", (event) => {
    event.preventDefault();
    const source = new EventSource("stream");
    source.addEventListener("message", (message) => show(`stream: ${message.data}`));
    source.addEventListener("error", () => source.close()); // the end; EventSource would begin again
});
