// Node and `ws`: its README's broadcast.
"use strict";

const http = require("node:http");
const { WebSocket, WebSocketServer } = require("ws");
const { follow } = require("./peer_contract.cjs");

const server = http.createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false });

sockets.on("connection", (socket) => socket.on("error", () => socket.terminate()));

server.listen({ host: "127.0.0.1", port: 0, backlog: 2048 }, () =>
  follow(server.address().port, (board) => {
    const text = JSON.stringify({ type: "leaderboard-update", data: board });
    for (const client of sockets.clients) {
      if (client.readyState === WebSocket.OPEN) client.send(text);
    }
  }),
);
