/**
 * How long things on the wire may be. Each limit is checked by the side that sends and by the side that receives, before
 * anything is allocated for the field, and all of them together keep every message under MAX_MESSAGE_BYTES (4 MiB).
 */

/** An Ed25519 public key; a challenge's nonce; a session. */
export const KEY_BYTES = 32;
/** A challenge's nonce. */
export const NONCE_BYTES = 32;
/** The secret of a session. */
export const SESSION_BYTES = 32;
/** Ed25519. */
export const SIGNATURE_BYTES = 64;
/** Levels of a tree of receipts: as many as a 32-bit count of leaves may need. */
export const MAX_PATH_HASHES = 32;

/** Characters of a text that is meant for a person: a reason, a detail, an activity. The sender cuts a longer one. */
export const MAX_TEXT_CHARS = 2_000;
/** Characters of a join token: eight addresses, two fingerprints and a secret, in base64. */
export const MAX_TOKEN_CHARS = 4_096;
/** Bytes of one certificate, and how many authorities are trusted at a time: two, while one follows the other. */
export const MAX_CERTIFICATE_BYTES = 16 * 1024;
/** Authorities that vouch for one coordinator. */
export const MAX_AUTHORITIES = 4;
/** Characters of an address. */
export const MAX_ADDRESS_CHARS = 256;
/** Characters of a program's version. */
export const MAX_VERSION_CHARS = 64;
/** Characters of a workload's name. */
export const MAX_WORKLOAD_CHARS = 128;
/** Characters of a run directory's path. */
export const MAX_PATH_CHARS = 4_096;

/** Updates that one client may still be waiting to see settled. */
export const MAX_PENDING_UPDATES = 256;

/** Metrics of one report, and all their sums together (a histogram or a confusion matrix is one metric of many sums). */
export const MAX_METRICS = 256;
/** Characters of a metric's name. */
export const MAX_METRIC_NAME_CHARS = 128;
/** Sums of all metrics of one report. */
export const MAX_METRIC_SUMS = 65_536;

/** One weight for each tensor of a contribution: as many as a model may have tensors. */
export const MAX_WEIGHTS = 65_536;

/** The canonical JSON of a plan, a run's specification or an event; the rest of the 4 MiB is for what goes with it. */
export const MAX_JSON_BYTES = 3 * 1024 * 1024;

/** A frame of secure aggregation: a roster of 16,384 members has 768 KiB. */
export const MAX_SECURE_FRAME_BYTES = 2 * 1024 * 1024;

/** A model that starts a run is held in memory whole, so it has a limit of its own. */
export const MAX_START_MODEL_BYTES = 2 ** 31;
