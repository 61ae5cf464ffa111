// Node and Socket.IO: `io.emit`.
"use strict";

const http = require("node:http");
const { Server } = require("socket.io");
const { follow } = require("./peer_contract.cjs");

const server = http.createServer();
const io = new Server(server, { perMessageDeflate: false, serveClient: false });

server.listen({ host: "127.0.0.1", port: 0, backlog: 2048 }, () =>
  follow(server.address().port, (board) => io.emit("leaderboard-update", board)),
);
