// The wire contract as this page needs it: frames in and out, and what a valid id or name is.
// Pure, except for random opIds.

export const DEFAULT_SESSION = "DEMO123";
const ID = /^[A-Za-z0-9_.-]{1,64}$/;
const MAX_NAME = 32; // code points
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0]/u;
const JOINED = /([^\0-\x7f\s])\p{Join_C}(?=[^\0-\x7f\s])/gu; // the service knows which scripts and emoji need it
const PILED_MARKS = /[\u0300-\u0333\u0339-\u034e\u0350-\u036f]{3}|\p{M}{9}/u;
const SEEN = /[\p{L}\p{N}\p{P}\p{S}]/u;

export const join = (sessionId, userId, username, secret) => ({
	type: "join-demo",
	data: { userId, sessionId, ...(username ? { username } : {}), secret },
});
export const watch = (sessionId) => ({ type: "watch-demo", data: { sessionId } });
export const score = (points, opId) => ({ type: "update-score", data: { points, opId } });
export const ping = (t) => ({ type: "ping", data: { t } });

/** The `{type, data}` of a frame, or null if it is not a message. */
export function decode(frame) {
	let message;
	try {
		message = JSON.parse(frame);
	} catch {
		return null; // harmless: the next board has everything
	}
	if (message === null || typeof message !== "object" || typeof message.type !== "string") return null;
	const { type, data } = message;
	return { type, data: data !== null && typeof data === "object" ? data : {} };
}

/** A new operation id. Not `randomUUID`, which browsers withhold on plain HTTP. */
export function newOpId() {
	const bytes = crypto.getRandomValues(new Uint8Array(12));
	return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export const newSecret = newOpId;

export const isId = (text) => ID.test(text);

export const tidy = (text) => text.normalize("NFC").trim();

/** Why the service would surely refuse a name, or "". */
export function nameFault(text) {
	const name = tidy(text);
	const { length } = [...name];
	if (UNSEEN.test(name.replace(JOINED, "$1"))) return "Invisible characters are not allowed in a name.";
	if (PILED_MARKS.test(name)) return "A letter in a name may have at most two accents.";
	if (length < 1 || length > MAX_NAME) return `A name has 1 to ${MAX_NAME} characters, not ${length}.`;
	return SEEN.test(name) ? "" : "A name has a visible character.";
}

/** Input quoted for a sentence: short, direction isolated, nothing invisible. */
export function quoted(text) {
	const seen = [...text].map((sign) => (UNSEEN.test(sign) ? "\ufffd" : sign));
	return `“\u2068${seen.slice(0, 40).join("")}\u2069”${seen.length > 40 ? `… (${seen.length} characters)` : ""}`;
}

/** The user id of a name: readable, stable, and different for different names. */
export function userIdOf(name) {
	const plain = tidy(name).toLowerCase().replaceAll(" ", "-");
	if (isId(plain)) return plain;
	const readable = plain
		.normalize("NFKD")
		.replace(/[^a-z0-9_.-]+/g, "")
		.replace(/^[-.]+|[-.]+$/g, "")
		.slice(0, 40);
	return `${readable || "player"}-${fingerprint(plain)}`;
}

/** The user id of a guest, who is one per name and device: two people of one name are two players. */
export const guestIdOf = (name, device) => `${userIdOf(name)}-${device}`;

export const newDevice = () => newOpId().slice(0, 10);

/** FNV-1a over UTF-8, in base 36. */
function fingerprint(text) {
	let hash = 0x811c9dc5;
	for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
	return hash.toString(36);
}

/** The service's address, also behind a path prefix. */
export function socketUrl(base) {
	const url = new URL("ws", base);
	url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
	return url.href;
}
