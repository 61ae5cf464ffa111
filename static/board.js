// What the page shows, as values: the board, the player's own standing, and what changed. Pure.
//
// Two rules: a frame is accepted if its epoch differs or its version is not lower than the one shown;
// a missing field gets a harmless default.

const number = (value, otherwise) => (Number.isFinite(value) ? value : otherwise);
const text = (value, otherwise) => (typeof value === "string" && value ? value : otherwise);
const color = (value) => (/^#[0-9a-f]{6}$/i.test(value) ? value : "#7d8894");

export const NO_BOARD = Object.freeze({ ...boardOf({}), version: -1 });

export const NO_STANDING = Object.freeze({ ...standingOf({}), version: -1 });

/** Whether `next` may replace `shown`; both have an `epoch` and a `version`. */
export function isNews(shown, next) {
	return shown.epoch !== next.epoch || next.version >= shown.version;
}

/** The board of a `leaderboard-update`; a row that shares its rank is `tied`. */
export function boardOf(data) {
	const seen = new Set();
	const entries = (Array.isArray(data.leaderboard) ? data.leaderboard : []).filter((entry) => {
		const known = typeof entry?.userId !== "string" || seen.has(entry.userId);
		seen.add(entry?.userId);
		return !known;
	});
	const rows = entries.map((entry, index) => ({
		userId: entry.userId,
		username: text(entry.username, entry.userId),
		avatar: text(entry.avatar, ""),
		color: color(entry.color),
		score: number(entry.score, 0),
		rank: number(entry.rank, index + 1),
		isConnected: entry.isConnected === true,
		tied: false,
		tag: "",
	}));
	tellApart(rows);
	for (let i = 1; i < rows.length; i++) {
		if (rows[i].rank === rows[i - 1].rank) rows[i].tied = rows[i - 1].tied = true;
	}
	return {
		epoch: data.epoch ?? null,
		version: number(data.version, 0),
		rows,
		totalPlayers: number(data.totalPlayers, rows.length),
		totalParticipants: number(data.totalParticipants, 0),
		degraded: data.degraded === true,
		lastUpdate: data.lastUpdate !== null && typeof data.lastUpdate === "object" ? data.lastUpdate : null,
	};
}

export function standingOf(data) {
	return {
		epoch: data.epoch ?? null,
		version: number(data.version, 0),
		score: number(data.score, 0),
		rank: number(data.rank, null),
	};
}

/** The own standing on a board: that of its row; none if the whole board has no such row. */
export function standingOn(board, userId, standing) {
	if (!isNews(standing, board)) return standing;
	const { epoch, version } = board;
	const row = board.rows.find((candidate) => candidate.userId === userId);
	if (row) return { epoch, version, score: row.score, rank: row.rank };
	return board.rows.length >= board.totalPlayers ? { epoch, version, score: 0, rank: null } : standing;
}

/** The board, with the own row `pinned` at the end if it has none. */
export function pinned(board, player, { rank, score }) {
	const { rows } = board;
	if (!player || rank === null || !rows.length || rows.some(({ userId }) => userId === player.userId)) return board;
	const own = { ...player, color: color(player.color), score, rank, isConnected: true, tied: false, pinned: true };
	const all = [...rows, own].map((row) => ({ ...row }));
	tellApart(all);
	return { ...board, rows: all };
}

/** Tags rows of the same name with a piece of their ids; with the whole ids if the pieces are the same, too. */
function tellApart(rows) {
	const named = new Map();
	for (const row of rows) {
		const name = row.username.normalize("NFKC").toLowerCase();
		named.set(name, [...(named.get(name) ?? []), row]);
	}
	for (const twins of named.values()) {
		const pieces = twins.map(({ userId }) => (userId.length > 8 ? userId.slice(-4) : userId));
		const enough = new Set(pieces).size === twins.length;
		twins.forEach((row, i) => (row.tag = twins.length === 1 ? "" : enough ? pieces[i] : row.userId));
	}
}

/** An age in ms, as short text. */
export function ago(ms) {
	const seconds = Math.max(0, Math.floor(ms / 1000));
	if (seconds < 2) return "just now";
	const [size, unit] = seconds < 100 ? [1, "s"] : seconds < 6000 ? [60, "min"] : [3600, "h"];
	return `${Math.floor(seconds / size)} ${unit} ago`;
}

/** How rows changed between two boards, by user: `{gain, climb}`; nothing for a newcomer. */
export function changes(before, after) {
	const old = new Map(before.rows.map((row) => [row.userId, row]));
	return new Map(
		after.rows.flatMap((row) => {
			const was = old.get(row.userId);
			const change = was && { gain: row.score - was.score, climb: was.rank - row.rank };
			return change && (change.gain || change.climb) ? [[row.userId, change]] : [];
		}),
	);
}

/** How much of the board this is, such as "1–20 of 3,482 players". */
export function extent(board) {
	const shown = board.rows.length;
	const total = Math.max(board.totalPlayers, shown);
	const part = shown > 0 && shown < total ? `1–${count(shown)} of ` : "";
	return `${part}${count(total)} player${total === 1 ? "" : "s"}`;
}

/** A score's share of the leader's, 0 to 1. */
export function share(score, leader) {
	return leader > 0 ? Math.min(1, Math.max(0, score / leader)) : 0;
}

const grouped = new Intl.NumberFormat("en");

export const count = (value) => grouped.format(value);
export const signed = (value) => (value < 0 ? `−${count(-value)}` : `+${count(value)}`);

/** What to announce after a change, or null: the own rank first, then a new leader. */
export function spoken(before, after, userId) {
	const rankOf = (board) => board.rows.find((row) => row.userId === userId)?.rank;
	const [was, is] = [rankOf(before), rankOf(after)];
	if (is !== undefined && is !== was) return `You are number ${is}.`;
	const [oldLeader, leader] = [before.rows[0], after.rows[0]];
	if (oldLeader && leader && leader.userId !== oldLeader.userId) return `${leader.username} leads.`;
	return null;
}
