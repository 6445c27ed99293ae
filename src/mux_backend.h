/*
 * What an event mechanism provides to mux.c. A readiness backend knows interest and waiting, and
 * nothing of operations. Each backend file holds these functions in this order.
 */
#ifndef MUXCAT_MUX_BACKEND_H
#define MUXCAT_MUX_BACKEND_H

#include "mux.h"

enum { MUX_READ = 1, MUX_WRITE = 2, MUX_HANGUP = 4 };

struct mux_backend {
	const char *name;
	bool has_edge;
	mux_fd descriptor_limit; /* the first descriptor too high for it; 0: none is */

	/* Make the state for one loop: *state, 0; or a negative errno. */
	int (*open)(void **state);
	void (*close)(void *state);

	/*
	 * Watch io for `interest` in place of io->wanted; either may be 0, which is "not at all":
	 * not even a hang-up is reported then, or an unread one would spin the loop. Never called
	 * from inside wait. -EPERM: this descriptor cannot be watched because it is always ready.
	 */
	int (*want)(void *state, struct mux_io *io, unsigned interest);

	/*
	 * Wait up to `timeout` milliseconds (-1: for ever) and call mux_io_ready once for each
	 * ready handle. A signal ends it early with 0.
	 */
	int (*wait)(void *state, int timeout);
};

/* For the backends: io is ready for `events`; a hang-up comes with MUX_READ | MUX_WRITE. */
void mux_io_ready(struct mux_io *io, unsigned events);

extern const struct mux_backend mux_select;
extern const struct mux_backend mux_poll;
extern const struct mux_backend mux_epoll;

#endif
