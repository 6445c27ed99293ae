/*
 * Reaching a peer: look up its name, try its addresses, IPv6 and IPv4 raced (RFC 8305), and have it
 * prove who it is where TLS is asked for, all under one deadline.
 */
#ifndef MUXCAT_DIAL_H
#define MUXCAT_DIAL_H

#include "connection.h"
#include "socket.h"

struct dial;

/* What came of it. */
struct dialled {
	int error;                  /* 0, or see resolve_error and tls.h; -ETIME is the deadline */
	const char *why;            /* the error in words */
	struct transport transport; /* connected, and the receiver's */
};

/* Valid during the call; the dial is gone after it. */
typedef void dial_done(void *user, const struct dialled *dialled);

/*
 * Start; `deadline` in milliseconds covers everything, 0 is none. A datagram socket is "connected"
 * to the first address. `tls` is for an address that asks for it, else NULL. NULL when memory is short; otherwise `done` is called once, from the loop,
 * unless it is cancelled before.
 */
struct dial *dial_start(struct mux *mux, const struct address *address,
	const struct socket_options *options, struct tls_context *tls, uint64_t deadline,
	dial_done *done, void *user);
void dial_cancel(struct dial *dial);

#endif
