"""A witness of a run: the packets on the loopback, and the latencies that they show, without the load test's own code.

    python -m ruler.packet_capture PORT FILE    # captures until its input ends

Needs a raw socket, and so usually root. What is captured are the bytes to and from the port, each packet with the
kernel's stamp. `latencies` puts the streams together again and finds each pair: from the packet that completes the
score to the packet that completes the first board that includes it.
"""

from __future__ import annotations

import ctypes
import json
import pickle
import re
import select
import socket
import struct
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

Packet = tuple[float, int, int, int, bytes]  # stamp, source port, destination port, sequence number, payload

ETH_P_IP, SO_TIMESTAMPNS, PACKET_HOST, SO_RCVBUFFORCE, SO_ATTACH_FILTER = 0x0800, 35, 0, 33, 26
SOL_PACKET, PACKET_STATISTICS = 263, 6
BUFFER = 64 * 1024 * 1024
HEAD = re.compile(rb'\{"type":"leaderboard-update","data":\{"version":(\d+),"updates":\d+,"epoch":"([^"]*)"')


def open_raw(port: int) -> socket.socket:
    """A socket that gets every TCP packet from or to the port. Raises PermissionError."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
    raw.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    raw.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    # ldb protocol; jne TCP → drop; ldxb header length; ldh source port; jeq → keep; ldh destination; jeq; keep; drop
    program = [
        (0x30, 0, 0, 9), (0x15, 0, 6, 6), (0xB1, 0, 0, 0), (0x48, 0, 0, 0), (0x15, 2, 0, port),
        (0x48, 0, 0, 2), (0x15, 0, 1, port), (0x06, 0, 0, 0xFFFFFFFF), (0x06, 0, 0, 0),
    ]  # fmt: skip
    code = b"".join(struct.pack("HBBI", *line) for line in program)
    held = ctypes.create_string_buffer(code)
    raw.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(held)))
    raw.bind(("lo", ETH_P_IP))
    return raw


def capture(port: int) -> tuple[list[Packet], int]:
    """Until the input ends: the packets with a payload, and how many the kernel dropped."""
    raw = open_raw(port)
    raw.setblocking(False)
    sys.stdout.write("captures\n")
    sys.stdout.flush()
    packets: list[Packet] = []
    while True:
        ready, _, _ = select.select([raw, sys.stdin], [], [])
        if raw in ready:
            packets += read(raw)
        elif sys.stdin in ready and not sys.stdin.buffer.read1():
            break
    _, dropped = struct.unpack("II", raw.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
    return packets, dropped


def read(raw: socket.socket) -> Iterator[Packet]:
    """What has arrived."""
    while True:
        try:
            data, ancillary, _, address = raw.recvmsg(1 << 17, 64)
        except BlockingIOError:
            return
        if address[2] != PACKET_HOST:  # on the loopback each packet is seen as it leaves, too
            continue
        begin = (data[0] & 15) * 4
        source, target, sequence = struct.unpack_from("!HHI", data, begin)
        payload = data[begin + (data[begin + 12] >> 4) * 4 : struct.unpack_from("!H", data, 2)[0] or None]
        if payload:
            seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
            yield seconds + nanoseconds * 1e-9, source, target, sequence, payload


@dataclass
class Stream:
    """One direction of a connection, put together: its bytes, and where in them each packet ends."""

    data: bytearray = field(default_factory=bytearray)
    ends: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, packets: list[Packet]) -> Stream:
        made, expected = cls(), packets[0][3]
        for at, _, _, sequence, payload in packets:
            ahead = (sequence - expected) & 0xFFFFFFFF
            if ahead:  # sent again, or one is missing
                assert ahead > 1 << 31, "a packet is missing"
                continue
            expected = (sequence + len(payload)) & 0xFFFFFFFF
            made.data += payload
            made.ends.append(len(made.data))
            made.times.append(at)
        return made

    def messages(self) -> Iterator[tuple[float, bytes]]:
        """When each text message was complete, and the message, after the HTTP head."""
        data, at = self.data, self.data.index(b"\r\n\r\n") + 4
        while at + 2 <= len(data):
            size, start = data[at + 1] & 127, at + 2
            if size > 125:
                more = 2 if size == 126 else 8
                size, start = int.from_bytes(data[start : start + more]), start + more
            mask = b""
            if data[at + 1] & 128:
                mask, start = data[start : start + 4], start + 4
            if start + size > len(data):
                return
            text = bytes(data[start : start + size])
            if mask:
                text = bytes(byte ^ mask[number & 3] for number, byte in enumerate(text))
            if data[at] & 15 == 1:
                yield self.times[int(np.searchsorted(self.ends, start + size))], text
            at = start + size


@dataclass
class Seen:
    """What the packets show: when each score was complete, where it was counted, and each receiver's boards."""

    scores: dict[str, float] = field(default_factory=dict)  # by op id
    places: dict[str, tuple[str, int]] = field(default_factory=dict)  # op id → epoch, version
    boards: dict[int, list[tuple[float, str, int]]] = field(
        default_factory=dict
    )  # client's port → time, epoch, version

    def latencies(self, begin: float, end: float) -> np.ndarray:
        """Seconds of each pair of a score in that time, infinite if its board never came."""
        named = [(self.scores[one], *self.places[one]) for one in self.scores if one in self.places]
        named = [one for one in named if begin <= one[0] < end]
        found = []
        for boards in self.boards.values():
            for epoch in {epoch for _, epoch, _ in named}:
                own = [(at, version) for at, known, version in boards if known == epoch]
                times, versions = (np.array(column) for column in zip(*own, strict=True))
                sent, wanted = (np.array([(at, version) for at, known, version in named if known == epoch])).T
                place = np.searchsorted(np.maximum.accumulate(versions), wanted)
                came = np.append(times, np.inf)[place]
                found.append(came - sent)
        return np.concatenate(found)


def seen(packets: list[Packet], port: int) -> Seen:
    """Put the streams together and read them."""
    up, down = defaultdict(list), defaultdict(list)
    for packet in packets:
        (up[packet[1]] if packet[2] == port else down[packet[2]]).append(packet)
    found = Seen()
    for client, sent in up.items():
        if sent[0][4].startswith(b"GET /ws"):
            note_sent(found, client, Stream.of(sent))
    for client in found.boards:
        note_received(found, client, Stream.of(down[client]))
    return found


def note_sent(found: Seen, client: int, stream: Stream) -> None:
    """A player's join and scores; others only watch."""
    for at, text in stream.messages():
        if text.startswith(b'{"type": "join-demo"'):
            found.boards[client] = []
        elif text.startswith(b'{"type":"update-score"'):
            found.scores.setdefault(json.loads(text)["data"]["opId"], at)


def note_received(found: Seen, client: int, stream: Stream) -> None:
    """A player's boards and answers."""
    for at, text in stream.messages():
        if (head := HEAD.match(text)) is not None:
            found.boards[client].append((at, head[2].decode(), int(head[1])))
        elif text.startswith(b'{"type":"user-rank-update"') and b'"opId":' in text:
            told = json.loads(text)["data"]
            found.places[told["opId"]] = told["epoch"], told["version"]


if __name__ == "__main__":
    captured = capture(int(sys.argv[1]))
    Path(sys.argv[2]).write_bytes(pickle.dumps(captured))
