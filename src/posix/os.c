#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <linux/sockios.h>

void os_start(void)
{
	for (int number = 0; number < 3; number++) {
		if (fcntl(number, F_GETFD) >= 0 || errno != EBADF)
			continue;
		/* the lowest free number is this one: reads end at once, writes fail with EBADF */
		if (open("/dev/null", O_RDONLY) != number)
			_exit(1);
	}
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); /* os_confine needs it, too */
}

/* EWOULDBLOCK may be another number than EAGAIN elsewhere; the core knows one. */
static int failure(void)
{
	return errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

mux_fd os_socket(int family, int type)
{
	int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

int os_socket_error(void)
{
	return -errno;
}

/* Not by fchmod of the socket, which bind would still cut down by the umask (unix(7)). */
int os_bind(mux_fd fd, const struct os_address *at, unsigned mode)
{
	mode_t before = mode ? umask(0777 & ~mode) : 0;
	int error = bind(fd, &at->u.any, at->length) < 0 ? -errno : 0;

	if (mode)
		umask(before);
	return error;
}

bool os_has_modes(void)
{
	return true;
}

int os_poll(struct pollfd *fds, size_t count, int timeout)
{
	int ready = poll(fds, count, timeout);

	if (ready < 0)
		return errno == EINTR ? 0 : -errno;
	return ready;
}

/* getaddrinfo's codes, moved out of the way of errno's. */
enum { LOOKUP_ERROR = -10000 };

int os_look_up(
	const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
	int error = getaddrinfo(host, service, hints, list);

	if (error == EAI_SYSTEM)
		return -errno;
	return error ? LOOKUP_ERROR + error : 0;
}

/*
 * Readiness says that a read will not block, unless somebody who shares the description was
 * quicker. RWF_NOWAIT closes that gap where the kernel has it for this kind of file.
 */
static ssize_t read_shared(mux_fd fd, void *into, size_t size)
{
	struct iovec vector = { into, size };
	ssize_t n = preadv2(fd, &vector, 1, -1, RWF_NOWAIT);

	if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL))
		n = read(fd, into, size);
	return n;
}

ssize_t os_read(mux_fd fd, enum os_kind kind, void *into, size_t size)
{
	ssize_t n;

	do {
		if (kind == OS_SOCKET)
			n = recv(fd, into, size, MSG_DONTWAIT);
		else if (kind == OS_SHARED)
			n = read_shared(fd, into, size);
		else
			n = read(fd, into, size);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? failure() : n;
}

ssize_t os_write(mux_fd fd, enum os_kind kind, const void *from, size_t length)
{
	ssize_t n;

	if (kind == OS_SHARED && length > PIPE_BUF)
		length = PIPE_BUF;
	do {
		if (kind == OS_SOCKET)
			n = send(fd, from, length, MSG_DONTWAIT | MSG_NOSIGNAL);
		else
			n = write(fd, from, length);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? failure() : n;
}

/* What an unprivileged process may ask for (pipe(7)). */
enum { PIPE_SIZE = 1024 * 1024 };

/* Less is quicker to read. */
enum { LEAST_TO_MAP = 256 * 1024, MOST_TO_MAP = 2 * 1024 * 1024 };

/* How much of a file to map next, or 0. A hole is not mapped: tmpfs would fill it for the reader. */
static size_t worth_mapping(mux_fd fd)
{
	off_t at = lseek(fd, 0, SEEK_CUR);
	struct stat file;

	if (at < 0 || fstat(fd, &file) < 0 || !S_ISREG(file.st_mode) ||
		file.st_blocks * 512 < file.st_size || file.st_size - at < LEAST_TO_MAP)
		return 0;
	return file.st_size - at < MOST_TO_MAP ? (size_t)(file.st_size - at) : MOST_TO_MAP;
}

bool os_pages_are_whole(const struct os_pages *pages)
{
	struct stat file;

	return fstat(pages->fd, &file) == 0 && file.st_size >= (off_t)pages->end;
}

ssize_t os_map_next(mux_fd fd, struct os_pages *pages, const unsigned char **data)
{
	size_t length = worth_mapping(fd);
	off_t end = length ? lseek(fd, (off_t)length, SEEK_CUR) : -1;
	size_t before; /* in the first page */

	if (end < 0)
		return -ENOTSUP;
	/* from here on these bytes are ours, whoever else reads from this description */
	before = (size_t)(end - (off_t)length) % (size_t)sysconf(_SC_PAGESIZE);
	pages->end = (uint64_t)end;
	pages->size = before + length;
	pages->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	pages->address =
		mmap(NULL, pages->size, PROT_READ, MAP_SHARED, fd, end - (off_t)pages->size);
	if (pages->fd < 0 || pages->address == MAP_FAILED || !os_pages_are_whole(pages)) {
		os_unmap(pages);
		lseek(fd, -(off_t)length, SEEK_CUR);
		return -ENOTSUP;
	}
	*data = (const unsigned char *)pages->address + before;
	return (ssize_t)length;
}

void os_unmap(struct os_pages *pages)
{
	if (pages->address != MAP_FAILED)
		munmap(pages->address, pages->size);
	if (pages->fd >= 0)
		close(pages->fd);
}

void os_enlarge_pipe(mux_fd fd)
{
	int size = fcntl(fd, F_GETPIPE_SZ);

	if (size > 0 && size < PIPE_SIZE)
		fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE);
}

ssize_t os_recvfrom(mux_fd fd, void *into, size_t size, struct os_address *from)
{
	ssize_t n;

	do {
		if (from)
			from->length = sizeof(from->u);
		n = recvfrom(fd, into, size, MSG_DONTWAIT | MSG_TRUNC, from ? &from->u.any : NULL,
			from ? &from->length : NULL);
	} while (n < 0 && errno == EINTR);
	if (n > (ssize_t)size) /* MSG_TRUNC: the length it had */
		return -EMSGSIZE;
	return n < 0 ? failure() : n;
}

ssize_t os_sendto(mux_fd fd, const void *data, size_t length, const struct os_address *to)
{
	ssize_t n;

	do {
		n = sendto(fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL, to ? &to->u.any : NULL,
			to ? to->length : 0);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? failure() : n;
}

static void describe(
	struct mmsghdr *message, struct iovec *bytes, const struct os_datagram *datagram)
{
	bytes->iov_base = datagram->data;
	*message = (struct mmsghdr){ .msg_hdr = { .msg_iov = bytes, .msg_iovlen = 1 } };
	message->msg_hdr.msg_name = (void *)&datagram->peer.u;
}

ssize_t os_recv_datagrams(mux_fd fd, struct os_datagram *into, size_t count)
{
	struct mmsghdr messages[OS_DATAGRAMS];
	struct iovec room[OS_DATAGRAMS];
	int n;

	for (size_t i = 0; i < count; i++) {
		describe(&messages[i], &room[i], &into[i]);
		room[i].iov_len = into[i].size;
		messages[i].msg_hdr.msg_namelen = sizeof(into[i].peer.u);
	}
	do {
		n = recvmmsg(fd, messages, (unsigned)count, MSG_DONTWAIT | MSG_TRUNC, NULL);
	} while (n < 0 && errno == EINTR);
	for (int i = 0; i < n; i++) {
		size_t length = messages[i].msg_len; /* MSG_TRUNC: that which it had */

		into[i].peer.length = messages[i].msg_hdr.msg_namelen;
		into[i].length = length > into[i].size ? -EMSGSIZE : (ssize_t)length;
	}
	return n < 0 ? failure() : n;
}

ssize_t os_send_datagrams(mux_fd fd, const struct os_datagram *from, size_t count)
{
	struct mmsghdr messages[OS_DATAGRAMS];
	struct iovec bytes[OS_DATAGRAMS];
	int n;

	for (size_t i = 0; i < count; i++) {
		describe(&messages[i], &bytes[i], &from[i]);
		bytes[i].iov_len = (size_t)from[i].length;
		messages[i].msg_hdr.msg_namelen = from[i].peer.length;
	}
	do {
		n = sendmmsg(fd, messages, (unsigned)count, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? failure() : n;
}

mux_fd os_accept(mux_fd fd, struct os_address *peer)
{
	struct os_address unused;
	struct os_address *from = peer ? peer : &unused;

	from->length = sizeof(from->u);

	int accepted = accept4(fd, &from->u.any, &from->length, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (accepted >= 0)
		return accepted;
	switch (errno) {
	case EINTR:
	case ECONNABORTED:
	case EPROTO:
	case ENETDOWN:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case EOPNOTSUPP:
	case ENETUNREACH:
		return -ECONNABORTED;
	default:
		return failure();
	}
}

int os_connect(mux_fd fd, const struct os_address *to)
{
	if (connect(fd, &to->u.any, to->length) == 0)
		return 0;
	/* an interrupted connect goes on in the background (connect(2)) */
	return errno == EINTR ? -EINPROGRESS : failure();
}

int os_connect_result(mux_fd fd)
{
	int error = 0;
	socklen_t length = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
		return -errno;
	return -error;
}

int os_shutdown_write(mux_fd fd)
{
	return shutdown(fd, SHUT_WR) < 0 ? -errno : 0;
}

void os_keep_asking(mux_fd fd)
{
	int on = 1;
	int seconds = 30;

	if (setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof(seconds)) == 0)
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

bool os_peer_is_gone(mux_fd fd)
{
	struct pollfd state = { .fd = fd };

	return os_poll(&state, 1, 0) == 1 && (state.revents & (POLLHUP | POLLERR));
}

void os_close(mux_fd fd, enum os_kind kind)
{
	(void)kind;
	close(fd);
}

void os_reset_on_close(mux_fd fd, bool reset)
{
	struct linger none = { .l_onoff = reset, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
}

size_t os_unsent(mux_fd fd)
{
	unsigned char state = 0; /* the first byte of struct tcp_info */
	socklen_t length = sizeof(state);
	int unsent = 0;

	/* after a reset the bytes are still counted, but nobody will ever acknowledge them */
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &state, &length) == 0 && state == TCP_CLOSE)
		return 0;
	return ioctl(fd, SIOCOUTQ, &unsent) < 0 || unsent < 0 ? 0 : (size_t)unsent;
}

uint64_t os_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int os_waker_open(struct os_waker *waker)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	waker->read_end = waker->write_end = fd;
	return 0;
}

void os_waker_close(struct os_waker *waker)
{
	close(waker->read_end);
}

void os_wake(const struct os_waker *waker)
{
	int saved = errno; /* a signal handler must leave it */
	uint64_t one = 1;

	while (write(waker->write_end, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	errno = saved;
}

void os_raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* ---- signals ---- */

static void (*on_signal)(int);
static bool pipe_ignored;

static const int ending[] = { SIGINT, SIGTERM, SIGHUP };
enum { ENDING = sizeof(ending) / sizeof(ending[0]) };

void os_release_signals(void)
{
	struct sigaction action;

	for (size_t i = 0; i < ENDING; i++)
		if (sigaction(ending[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			signal(ending[i], SIG_DFL);
}

/* The second signal ends the process, whichever it is. */
static void handle(int signal)
{
	os_release_signals();
	on_signal(signal);
}

void os_catch_signals(void (*caught)(int))
{
	struct sigaction action;
	struct sigaction before;

	memset(&action, 0, sizeof(action));
	sigemptyset(&action.sa_mask);
	on_signal = caught;
	action.sa_handler = handle;
	for (size_t i = 0; i < ENDING; i++)
		/* nohup and background shells ignore one on purpose: leave it so */
		if (sigaction(ending[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
			sigaction(ending[i], &action, NULL);

	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, &before);
	pipe_ignored = before.sa_handler == SIG_IGN;
}

void os_exit(int status)
{
	exit(status);
}

void os_exit_at_once(int status)
{
	_exit(status);
}

void os_die_by(int number)
{
	sigset_t set;

	signal(number, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, number);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(number);
	_exit(128 + number);
}

bool os_pipe_kills(void)
{
	return !pipe_ignored;
}

void os_die_by_pipe(void)
{
	os_die_by(SIGPIPE);
}

/* ---- files ---- */

bool os_replace_file(const char *from, const char *to)
{
	return rename(from, to) == 0;
}

bool os_identify_socket_file(const char *path, uint64_t *device, uint64_t *inode)
{
	struct stat status;

	if (lstat(path, &status) < 0 || !S_ISSOCK(status.st_mode))
		return false;
	*device = status.st_dev;
	*inode = status.st_ino;
	return true;
}

const char *os_error(int error)
{
	return error <= LOOKUP_ERROR ? gai_strerror(error - LOOKUP_ERROR) : strerror(-error);
}
