/** Files of a coordinator's data directory that the command line reads to find and to address it. */
export const ADDRESS_FILE = 'address';
export const ADMIN_TOKEN_FILE = 'admin.token';
