// The contract of the comparison programs, for those that are written for Node.
"use strict";

const readline = require("node:readline");

/** Follow stdin's orders and call `send(board)` at each board's time, until stdin closes. */
exports.follow = (port, send) => {
  let timer = null;
  let version = 0;
  const lines = readline.createInterface({ input: process.stdin });
  lines.on("line", (line) => {
    const { hz, board } = JSON.parse(line);
    clearInterval(timer);
    if (!hz) return;
    timer = setInterval(() => {
      version += 1;
      board.version = version;
      board.sentAt = performance.timeOrigin + performance.now();
      send(board);
    }, 1000 / hz);
  });
  lines.on("close", () => process.exit(0));
  process.stdout.write(`${JSON.stringify({ port, pid: process.pid })}\n`);
};
