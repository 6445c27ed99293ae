#include "mux_poll_array.h"

#include <errno.h>
#include <stdlib.h>

struct poll_array {
	struct pollfd *fds;
	struct mux_io **handles; /* handles[i] is watched by fds[i] */
	size_t count;
	size_t room;
};

int poll_array_open(void **state)
{
	*state = calloc(1, sizeof(struct poll_array));
	return *state ? 0 : -ENOMEM;
}

void poll_array_close(void *state)
{
	struct poll_array *s = state;

	free(s->fds);
	free(s->handles);
	free(s);
}

static int grow(struct poll_array *s)
{
	size_t room = s->room ? 2 * s->room : 16;
	struct pollfd *fds = realloc(s->fds, room * sizeof(*fds));

	if (!fds)
		return -ENOMEM;
	s->fds = fds;

	struct mux_io **handles = realloc(s->handles, room * sizeof(*handles));

	if (!handles)
		return -ENOMEM;
	s->handles = handles;
	s->room = room;
	return 0;
}

int poll_array_want(void *state, struct mux_io *io, unsigned interest)
{
	struct poll_array *s = state;

	if (!interest) {
		s->count--;
		s->fds[io->slot] = s->fds[s->count];
		s->handles[io->slot] = s->handles[s->count];
		s->handles[io->slot]->slot = io->slot;
		io->slot = -1;
		return 0;
	}
	if (io->slot < 0) {
		if (s->count == s->room && grow(s) < 0)
			return -ENOMEM;
		io->slot = (int)s->count++;
		s->handles[io->slot] = io;
		s->fds[io->slot].fd = io->fd;
	}
	s->fds[io->slot].events =
		(short)((interest & MUX_READ ? POLLIN : 0) | (interest & MUX_WRITE ? POLLOUT : 0));
	return 0;
}

int poll_array_wait(void *state, int timeout, poll_array_waiter *waiter)
{
	struct poll_array *s = state;
	int ready = waiter(s->fds, s->count, timeout);

	if (ready < 0)
		return ready;
	for (size_t i = 0; ready > 0 && i < s->count; i++) {
		short revents = s->fds[i].revents;
		unsigned events = 0;

		if (!revents)
			continue;
		ready--;
		if (revents & (POLLIN | POLLHUP | POLLERR | POLLNVAL))
			events |= MUX_READ;
		if (revents & (POLLOUT | POLLHUP | POLLERR | POLLNVAL))
			events |= MUX_WRITE;
		mux_io_ready(s->handles[i], events);
	}
	return 0;
}
