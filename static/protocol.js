// The wire contract as this page needs it: frames in and out, and what a valid id or name is.
// Pure, but for the chance in an opId.

export const DEFAULT_SESSION = "DEMO123";
const ID = /^[A-Za-z0-9_.-]{1,64}$/;
const MAX_NAME = 32; // code points
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/u;
const PILED_MARKS = /\p{M}{3}/u;

export const join = (sessionId, userId, username) => ({
	type: "join-demo",
	data: { userId, sessionId, ...(username ? { username } : {}) },
});
export const watch = (sessionId) => ({ type: "watch-demo", data: { sessionId } });
export const score = (points, opId) => ({ type: "update-score", data: { points, opId } });
export const ping = (t) => ({ type: "ping", data: { t } });

/** A message from a frame, `{type, data}`, or null for whatever is no message of this contract. */
export function decode(frame) {
	let message;
	try {
		message = JSON.parse(frame);
	} catch {
		return null; // a foreign frame is nothing to stop for: the next board makes everything right
	}
	if (message === null || typeof message !== "object" || typeof message.type !== "string") return null;
	const { type, data } = message;
	return { type, data: data !== null && typeof data === "object" ? data : {} };
}

/** A fresh operation id. Not `randomUUID`: browsers keep that from pages on plain HTTP. */
export function newOpId() {
	const bytes = crypto.getRandomValues(new Uint8Array(12));
	return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export const isId = (text) => ID.test(text);

/** The name as it would be shown, or null when the service would refuse it. */
export function validName(text) {
	const name = text.normalize("NFC").trim();
	const length = [...name].length;
	return length >= 1 && length <= MAX_NAME && !UNSEEN.test(name) && !PILED_MARKS.test(name) ? name : null;
}

/** The user id of a name: readable, always the same, and different names keep different ids. */
export function userIdOf(name) {
	const plain = name.normalize("NFC").trim().toLowerCase().replaceAll(" ", "-");
	if (isId(plain)) return plain;
	const readable = plain
		.normalize("NFKD")
		.replace(/[^a-z0-9_.-]+/g, "")
		.replace(/^[-.]+|[-.]+$/g, "")
		.slice(0, 40);
	return `${readable || "player"}-${fingerprint(plain)}`;
}

/** FNV-1a over UTF-8, in base 36. */
function fingerprint(text) {
	let hash = 0x811c9dc5;
	for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
	return hash.toString(36);
}

/** Where the service is, seen from the page: works behind a path prefix, as every URL here is relative. */
export function socketUrl(base) {
	const url = new URL("ws", base);
	url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
	return url.href;
}
