/*
 * select(2): three bitmaps, copied in and out at each wait. A descriptor at or above FD_SETSIZE
 * would be written beyond them, so the core refuses it (descriptor_limit).
 */
#include "mux_backend.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/select.h>

struct select_state {
	fd_set reading;
	fd_set writing;
	mux_fd highest; /* -1 when nothing is watched */
	struct mux_io *handles[FD_SETSIZE];
};

static int select_open(void **state)
{
	struct select_state *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	FD_ZERO(&s->reading);
	FD_ZERO(&s->writing);
	s->highest = -1;
	*state = s;
	return 0;
}

static void select_close(void *state)
{
	free(state);
}

static int select_want(void *state, struct mux_io *io, unsigned interest)
{
	struct select_state *s = state;

	if (interest & MUX_READ)
		FD_SET(io->fd, &s->reading);
	else
		FD_CLR(io->fd, &s->reading);
	if (interest & MUX_WRITE)
		FD_SET(io->fd, &s->writing);
	else
		FD_CLR(io->fd, &s->writing);
	s->handles[io->fd] = interest ? io : NULL;
	if (interest && io->fd > s->highest)
		s->highest = io->fd;
	while (s->highest >= 0 && !s->handles[s->highest])
		s->highest--;
	return 0;
}

static int select_wait(void *state, int timeout)
{
	struct select_state *s = state;
	fd_set reading = s->reading;
	fd_set writing = s->writing;
	mux_fd highest = s->highest;
	struct timeval limit = { timeout / 1000, timeout % 1000 * 1000 };
	int ready = select(highest + 1, &reading, &writing, NULL, timeout < 0 ? NULL : &limit);

	if (ready < 0)
		return errno == EINTR ? 0 : -errno;
	for (mux_fd fd = 0; ready > 0 && fd <= highest; fd++) {
		unsigned events = 0;

		if (FD_ISSET(fd, &reading))
			events |= MUX_READ;
		if (FD_ISSET(fd, &writing))
			events |= MUX_WRITE;
		if (events && s->handles[fd]) { /* it may have been detached by a callback */
			ready -= (events & MUX_READ ? 1 : 0) + (events & MUX_WRITE ? 1 : 0);
			mux_io_ready(s->handles[fd], events);
		}
	}
	return 0;
}

const struct mux_backend mux_select = {
	.name = "select",
	.has_edge = false,
	.descriptor_limit = FD_SETSIZE,
	.open = select_open,
	.close = select_close,
	.want = select_want,
	.wait = select_wait,
};
