/* Waiting for sockets: select, and WSAPoll with a cure. */
#include "os.h"

#include <errno.h>
#include <stdlib.h>

/* ---- select: three sets of sockets ---- */

/* The layout of fd_set, of any length ("select function", Winsock). */
struct set {
	u_int count;
	u_int next; /* in fd_set this is padding: the first that has not been asked for */
	SOCKET sockets[];
};

static struct set *new_set(size_t room)
{
	struct set *set = malloc(sizeof(*set) + room * sizeof(set->sockets[0]));

	if (set)
		set->count = set->next = 0;
	return set;
}

static void add(struct set *set, SOCKET fd)
{
	set->sockets[set->count++] = fd;
}

/* Is `fd` left in the set? Select keeps the order in which they are asked for, but promises nothing. */
static bool take(struct set *set, SOCKET fd)
{
	if (set->next < set->count && set->sockets[set->next] == fd) {
		set->next++;
		return true;
	}
	for (u_int i = 0; i < set->count; i++)
		if (set->sockets[i] == fd)
			return true;
	return false;
}

/* A connect's failure is told in the third set; of a connection that would be urgent data. */
static bool is_connecting(const struct pollfd *fd)
{
	struct os_address peer = { .length = sizeof(peer.u) };

	return fd->events == POLLOUT && getpeername(fd->fd, &peer.u.any, &peer.length) < 0;
}

static int select_in(struct pollfd *fds, size_t count, int timeout, struct set *reading,
	struct set *writing, struct set *failing)
{
	struct timeval limit = { timeout / 1000, timeout % 1000 * 1000 };
	int ready = 0;

	for (size_t i = 0; i < count; i++) {
		if (fds[i].events & POLLIN)
			add(reading, fds[i].fd);
		if (fds[i].events & POLLOUT)
			add(writing, fds[i].fd);
		if (is_connecting(&fds[i]))
			add(failing, fds[i].fd);
	}
	if (select(0, (fd_set *)reading, (fd_set *)writing, (fd_set *)failing,
		    timeout < 0 ? NULL : &limit) < 0)
		return os_socket_error();
	for (size_t i = 0; i < count; i++) {
		bool readable = take(reading, fds[i].fd);
		bool writable = take(writing, fds[i].fd);
		bool failed = take(failing, fds[i].fd);

		fds[i].revents = (SHORT)((readable ? POLLIN : 0) | (writable ? POLLOUT : 0) |
					 (failed ? POLLERR : 0));
		ready += fds[i].revents ? 1 : 0;
	}
	return ready;
}

int os_select(struct pollfd *fds, size_t count, int timeout)
{
	struct set *reading = new_set(count);
	struct set *writing = new_set(count);
	struct set *failing = new_set(count);
	int ready = -ENOMEM;

	if (!count) { /* select refuses to wait for nothing */
		Sleep((DWORD)timeout);
		ready = 0;
	} else if (reading && writing && failing) {
		ready = select_in(fds, count, timeout, reading, writing, failing);
	}
	free(reading);
	free(writing);
	free(failing);
	return ready;
}

/* ---- WSAPoll ---- */

/*
 * WSAPoll tells of POLLHUP as soon as the peer has sent its end, asked or not, and for as long as the
 * socket is there. For one that only waits until it can send that is no event.
 */
static bool is_empty_hang_up(const struct pollfd *fd)
{
	return fd->events == POLLOUT && fd->revents == POLLHUP;
}

/* The number of descriptors that are ready without those. */
static int drop_empty_hang_ups(struct pollfd *fds, size_t count)
{
	int ready = 0;

	for (size_t i = 0; i < count; i++) {
		if (is_empty_hang_up(&fds[i]))
			fds[i].revents = 0;
		ready += fds[i].revents ? 1 : 0;
	}
	return ready;
}

static bool some_connect(const struct pollfd *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (is_connecting(&fds[i]))
			return true;
	return false;
}

int os_poll(struct pollfd *fds, size_t count, int timeout)
{
	int ready;

	if (!count) { /* WSAPoll refuses that */
		Sleep((DWORD)timeout);
		return 0;
	}
	if (some_connect(fds, count)) /* whose failure WSAPoll tells since Windows 10, 2004 */
		return os_select(fds, count, timeout);
	ready = WSAPoll(fds, (ULONG)count, timeout);
	if (ready < 0)
		return os_socket_error();
	if (ready > 0)
		ready = drop_empty_hang_ups(fds, count);
	else
		return 0;
	/* WSAPoll would not wait any more: select does in its place */
	return ready ? ready : os_select(fds, count, timeout);
}
