/** Files of a coordinator's data directory that the command line reads to find and to address it. */
export const ADDRESS_FILE = 'address';
/** The secret of the operator's calls, mode 0600. */
export const ADMIN_TOKEN_FILE = 'admin.token';
/** Key, certificate and authorities for the operator's calls, PEM, mode 0600; there while connections are by TLS. */
export const OPERATOR_FILE = 'operator.pem';
/** How the coordinator came to its key: the words of earlier keys, JSON, public; there once the key was rotated. */
export const HAND_OVERS_FILE = 'hand-overs.json';
