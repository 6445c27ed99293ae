/*
 * Reaching a peer: look up its name, try its addresses, IPv6 and IPv4 raced (RFC 8305), all under
 * one deadline.
 */
#ifndef MUXCAT_DIAL_H
#define MUXCAT_DIAL_H

#include "mux.h"
#include "socket.h"

struct dial;

/*
 * `error` 0: `fd` is connected to `peer` and the receiver's. Otherwise see resolve_error; -ETIME is
 * the deadline. The dial is gone after this call.
 */
typedef void dial_done(void *user, int error, mux_fd fd, const struct os_address *peer);

/*
 * Start; `deadline` in milliseconds covers everything, 0 is none. A datagram socket is "connected"
 * to the first address. NULL when memory is short; otherwise `done` is called once, from the loop,
 * unless it is cancelled before.
 */
struct dial *dial_start(struct mux *mux, const struct address *address,
	const struct socket_options *options, uint64_t deadline, dial_done *done, void *user);
void dial_cancel(struct dial *dial);

#endif
