/*
 * Winsock's select: its sets are arrays of sockets with a count in front, so that they may be as
 * long as one makes them ("select function", Winsock), and FD_SETSIZE limits only its own fd_set.
 * A connect that fails is told in the third set.
 */
#include "mux_backend.h"

#include <errno.h>
#include <stdlib.h>

/* The layout of fd_set. */
struct set {
	u_int count;
	SOCKET sockets[];
};

struct select_state {
	struct mux_io **handles;
	unsigned char *ready; /* what the wait found of each handle */
	size_t count;
	size_t room;
	struct set *reading;
	struct set *writing;
	struct set *failing;
};

static int select_open(void **state)
{
	*state = calloc(1, sizeof(struct select_state));
	return *state ? 0 : -ENOMEM;
}

static void select_close(void *state)
{
	struct select_state *s = state;

	free(s->handles);
	free(s->ready);
	free(s->reading);
	free(s->writing);
	free(s->failing);
	free(s);
}

/* `memory` with room for `size` bytes, or as it was. */
static void *grown(void *memory, size_t size, bool *failed)
{
	void *bigger = realloc(memory, size);

	*failed = *failed || !bigger;
	/* cppcheck-suppress memleak ; it is given back */
	return bigger ? bigger : memory;
}

static int grow(struct select_state *s)
{
	size_t room = s->room ? 2 * s->room : 64;
	size_t set = sizeof(struct set) + room * sizeof(SOCKET);

	bool failed = false;

	s->handles = grown(s->handles, room * sizeof(*s->handles), &failed);
	s->ready = grown(s->ready, room, &failed);
	s->reading = grown(s->reading, set, &failed);
	s->writing = grown(s->writing, set, &failed);
	s->failing = grown(s->failing, set, &failed);
	if (failed)
		return -ENOMEM;
	s->room = room;
	return 0;
}

static int select_want(void *state, struct mux_io *io, unsigned interest)
{
	struct select_state *s = state;

	if (!interest) {
		s->count--;
		s->handles[io->slot] = s->handles[s->count];
		s->ready[io->slot] = s->ready[s->count];
		s->handles[io->slot]->slot = io->slot;
		io->slot = -1;
	} else if (io->slot < 0) {
		if (s->count == s->room && grow(s) < 0)
			return -ENOMEM;
		io->slot = (int)s->count;
		s->handles[s->count] = io;
		s->ready[s->count] = 0;
		s->count++;
	}
	return 0; /* the wait looks at io->wanted */
}

static void fill(struct select_state *s)
{
	s->reading->count = s->writing->count = s->failing->count = 0;
	for (size_t i = 0; i < s->count; i++) {
		struct mux_io *io = s->handles[i];

		s->ready[i] = 0;
		if (io->wanted & MUX_READ)
			s->reading->sockets[s->reading->count++] = (SOCKET)io->fd;
		if (io->wanted & MUX_WRITE) {
			s->writing->sockets[s->writing->count++] = (SOCKET)io->fd;
			s->failing->sockets[s->failing->count++] = (SOCKET)io->fd;
		}
	}
}

/* The sockets left in `set`, in the order in which they were put there. */
static void collect(struct select_state *s, const struct set *set, unsigned char event)
{
	u_int next = 0;

	for (size_t i = 0; i < s->count && next < set->count; i++)
		if (set->sockets[next] == (SOCKET)s->handles[i]->fd) {
			s->ready[i] |= event;
			next++;
		}
	/* nobody promises that order */
	for (; next < set->count; next++)
		for (size_t i = 0; i < s->count; i++)
			if (set->sockets[next] == (SOCKET)s->handles[i]->fd)
				s->ready[i] |= event;
}

static int select_wait(void *state, int timeout)
{
	struct select_state *s = state;
	struct timeval limit = { timeout / 1000, timeout % 1000 * 1000 };
	int ready;

	if (!s->count)
		return os_poll(NULL, 0, timeout); /* select refuses to wait for nothing */
	fill(s);
	ready = select(0, (fd_set *)s->reading, (fd_set *)s->writing, (fd_set *)s->failing,
		timeout < 0 ? NULL : &limit);
	if (ready < 0)
		return os_socket_error();
	if (ready == 0)
		return 0;
	collect(s, s->reading, MUX_READ);
	collect(s, s->writing, MUX_WRITE);
	collect(s, s->failing, MUX_WRITE);
	for (size_t i = 0; i < s->count; i++)
		if (s->ready[i])
			mux_io_ready(s->handles[i], s->ready[i]);
	return 0;
}

const struct mux_backend mux_select = {
	.name = "select",
	.has_edge = false,
	.descriptor_limit = 0,
	.open = select_open,
	.close = select_close,
	.want = select_want,
	.wait = select_wait,
};
