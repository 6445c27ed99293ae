/*
 * epoll(7), level- and edge-triggered. An edge-triggered handle is registered once for both
 * directions, and for EPOLLRDHUP and EPOLLPRI, which announce what a short read would hide.
 */
#include "mux_backend.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { BATCH = 256 };

struct epoll_state {
	int fd;
	struct epoll_event events[BATCH];
};

static int epoll_open(void **state)
{
	struct epoll_state *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->fd < 0) {
		free(s);
		return -errno;
	}
	*state = s;
	return 0;
}

static void epoll_close(void *state)
{
	struct epoll_state *s = state;

	close(s->fd);
	free(s);
}

static int epoll_want(void *state, struct mux_io *io, unsigned interest)
{
	struct epoll_state *s = state;
	struct epoll_event event = { .data.ptr = io };
	int operation = EPOLL_CTL_MOD;

	if (interest & MUX_READ)
		event.events |= EPOLLIN;
	if (interest & MUX_WRITE)
		event.events |= EPOLLOUT;
	if (io->edge)
		event.events |= EPOLLET | EPOLLRDHUP | EPOLLPRI;
	if (!interest)
		operation = EPOLL_CTL_DEL;
	else if (!io->wanted)
		operation = EPOLL_CTL_ADD;
	return epoll_ctl(s->fd, operation, io->fd, &event) < 0 ? -errno : 0;
}

static unsigned events_of(uint32_t happened)
{
	unsigned events = 0;

	if (happened & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		events |= MUX_READ;
	if (happened & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		events |= MUX_WRITE;
	if (happened & (EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		events |= MUX_SHORT_READS;
	return events;
}

/*
 * Among thousands of handles the next one is no longer in the processor's cache: it is on its way there
 * while those before it have their turn, and so is its operation with what lies around it, which is the
 * stream's (struct handle_stream). In the loop itself, since gcc leaves out a call of a function that
 * only prefetches.
 */
static int epoll_wait_ready(void *state, int timeout)
{
	enum { LINE = 64 };
	struct epoll_state *s = state;
	int ready = epoll_wait(s->fd, s->events, BATCH, timeout);

	if (ready < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < ready; i++) {
		if (i + 2 < ready)
			__builtin_prefetch(s->events[i + 2].data.ptr, 1);
		if (i + 1 < ready) {
			const struct mux_io *next = s->events[i + 1].data.ptr;
			uintptr_t op = (uintptr_t)next->reading; /* may be NULL */

			__builtin_prefetch((void *)(op - LINE), 1);
			__builtin_prefetch((void *)op, 1);
			__builtin_prefetch((void *)(op + LINE), 1);
		}
		mux_io_ready(s->events[i].data.ptr, events_of(s->events[i].events));
	}
	return 0;
}

const struct mux_backend mux_epoll = {
	.name = "epoll",
	.has_edge = true,
	.descriptor_limit = 0,
	.open = epoll_open,
	.close = epoll_close,
	.want = epoll_want,
	.wait = epoll_wait_ready,
};
