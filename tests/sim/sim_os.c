/* The calls of the simulated system. Nothing blocks, and everything may come in pieces. */
#include "sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint64_t sim_now;

void sim_wake(struct sim_socket *socket)
{
	if (!socket->reset && socket->acts_at == UINT64_MAX)
		socket->acts_at = sim_now + sim_below(5);
}

static void wake_peer(struct sim_socket *socket)
{
	sim_wake(socket);
	if (socket->joined)
		sim_wake(socket->joined);
}

int sim_tell(struct sim_socket *socket, int error)
{
	socket->reset = true;
	socket->error = 0;
	socket->acts_at = UINT64_MAX;
	socket->edges |= MUX_READ | MUX_WRITE;
	if (!socket->told)
		socket->told = error;
	return error;
}

static bool fails(const struct sim_socket *socket)
{
	return sim_faults.transfer && !socket->is_waker && sim_one_in(500);
}

/* And the connection with it, unless it is only this system that has no memory. */
static int fail(struct sim_socket *socket)
{
	static const int errors[] = { -ENOBUFS, -ENOMEM, -ETIMEDOUT, -EHOSTUNREACH, -ENETUNREACH,
		-ENETDOWN, -EPERM, -EACCES };
	int error = SIM_ONE_OF(errors);

	if (error != -ENOBUFS && error != -ENOMEM)
		return sim_tell(socket, error);
	if (!socket->told_here)
		socket->told_here = error;
	return socket->told_here;
}

ssize_t os_read(mux_fd fd, enum os_kind kind, void *into, size_t size)
{
	struct sim_socket *socket = sim_socket(fd);
	uint64_t here = socket->arrived - socket->received;
	size_t n = here < size ? (size_t)here : size;

	(void)kind;
	if (fails(socket))
		return fail(socket);
	if (n) {
		/* with an edge a short read means that nothing is left */
		if (!socket->edge && sim_one_in(2))
			n = 1 + (size_t)sim_below(n);
		if (socket->text)
			memcpy(into, socket->text + socket->received, n);
		else
			sim_bytes(socket->source, socket->received, into, n);
		socket->received += n;
		socket->moved_at = sim_now;
		wake_peer(socket);
		return (ssize_t)n;
	}
	if (socket->error)
		return sim_tell(socket, socket->error);
	if (socket->reset && sim_piece)
		return socket->told; /* Winsock says it again and again, where Linux has an end */
	if (socket->end_arrived || socket->reset)
		return 0;
	return -EAGAIN;
}

ssize_t os_write(mux_fd fd, enum os_kind kind, const void *from, size_t length)
{
	struct sim_socket *socket = sim_socket(fd);
	size_t room = socket->room - (size_t)(socket->written - socket->taken);
	size_t n = length < room ? length : room;

	(void)kind;
	if (socket->shut)
		sim_fail("a send behind the end");
	if (socket->error)
		return sim_tell(socket, socket->error);
	if (socket->reset) {
		socket->told_broken = true;
		return -EPIPE;
	}
	if (fails(socket))
		return fail(socket);
	if (!n)
		return -EAGAIN;
	if (sim_one_in(2))
		n = 1 + (size_t)sim_below(n);
	if (socket->sent)
		socket->sent(socket, socket->written, from, n);
	socket->written += n;
	socket->moved_at = sim_now;
	wake_peer(socket);
	return (ssize_t)n;
}

static void shut(struct sim_socket *socket)
{
	if (!socket->shut)
		socket->received_at_end = socket->received;
	socket->shut = true;
}

int os_shutdown_write(mux_fd fd)
{
	struct sim_socket *socket = sim_socket(fd);

	if (socket->reset)
		return -ENOTCONN;
	shut(socket);
	sim_wire_ended(socket);
	wake_peer(socket);
	return 0;
}

/* Closing with something unread resets the peer (RFC 2525, section 2.17), as SO_LINGER may. */
void os_close(mux_fd fd, enum os_kind kind)
{
	struct sim_socket *socket = sim_socket(fd);

	(void)kind;
	if (socket->io)
		sim_fail("a watched descriptor is closed");
	socket->open = false;
	socket->lost = socket->reset || socket->linger_reset || socket->arrived > socket->received;
	if (socket->lost)
		socket->acts_at = UINT64_MAX;
	socket->reset = socket->lost;
	shut(socket);
	sim_wire_ended(socket);
	wake_peer(socket);
}

void os_reset_on_close(mux_fd fd, bool reset)
{
	sim_socket(fd)->linger_reset = reset;
}

size_t os_unsent(mux_fd fd)
{
	const struct sim_socket *socket = sim_socket(fd);

	return socket->reset ? 0 : (size_t)(socket->written - socket->taken);
}

bool os_peer_is_gone(mux_fd fd)
{
	return sim_socket(fd)->reset;
}

void os_keep_asking(mux_fd fd)
{
	sim_socket(fd);
}

uint64_t os_now(void)
{
	return sim_now;
}

const char *os_error(int error)
{
	return strerror(-error);
}

mux_fd os_accept(mux_fd fd, struct os_address *peer)
{
	static const int errors[] = { -ECONNABORTED, -EPERM, -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM };
	struct sim_socket *listener = sim_socket(fd);
	struct sim_socket *socket;
	mux_fd accepted;

	if (!listener->waiting)
		return -EAGAIN;
	if (sim_faults.transfer && sim_one_in(8)) {
		int error = SIM_ONE_OF(errors);

		listener->waiting -= error == -ECONNABORTED || error == -EPERM;
		return error;
	}
	listener->waiting--;
	accepted = sim_open(&socket);
	socket_bound(accepted, peer);
	sim_connected(socket, listener);
	return accepted;
}

/* Nobody is in another thread here, but a signal may come. The descriptor is a socket. */
int os_waker_open(struct os_waker *waker)
{
	struct sim_socket *socket;

	waker->read_end = waker->write_end = sim_open(&socket);
	socket->is_waker = true;
	return 0;
}

void os_waker_close(struct os_waker *waker)
{
	sim_socket(waker->read_end)->io = NULL; /* it is never taken out */
	os_close(waker->read_end, OS_NONBLOCKING);
}

void os_wake(const struct os_waker *waker)
{
	struct sim_socket *socket = sim_socket(waker->write_end);

	socket->arrived++;
	socket->edges |= MUX_READ;
}

/* ---- what no scenario does ---- */

#define NEVER sim_fail("%s is not simulated", __func__)

int os_poll(struct pollfd *fds, size_t count, int timeout)
{
	(void)fds, (void)count, (void)timeout;
	NEVER;
}

ssize_t os_map_next(mux_fd fd, struct os_pages *pages, const unsigned char **data)
{
	(void)fd, (void)pages, (void)data;
	return -ENOTSUP;
}

void os_unmap(struct os_pages *pages)
{
	(void)pages;
	NEVER;
}

bool os_pages_are_whole(const struct os_pages *pages)
{
	(void)pages;
	NEVER;
}

void os_enlarge_pipe(mux_fd fd)
{
	sim_socket(fd);
}

int os_connect(mux_fd fd, const struct os_address *to)
{
	(void)fd, (void)to;
	NEVER;
}

int os_connect_result(mux_fd fd)
{
	(void)fd;
	NEVER;
}

bool os_is_same(mux_fd a, mux_fd b)
{
	return a == b;
}

mux_fd os_stdin(enum os_kind *kind)
{
	(void)kind;
	NEVER;
}

mux_fd os_stdout(enum os_kind *kind)
{
	(void)kind;
	NEVER;
}

void os_release_standard(int number)
{
	(void)number;
	NEVER;
}

bool os_is_terminal(int number)
{
	(void)number;
	NEVER;
}

bool os_has_terminal(void)
{
	NEVER;
}
