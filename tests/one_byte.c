/*
 * Loaded by the tests (LD_PRELOAD): every receive from a TCP socket brings one byte at most. muxcat
 * calls recv, and for it Wine recvmsg.
 *
 * An edge-triggered reader may take a short receive for the last of what there is. So that it stays
 * true, the byte that follows arrives after it: the next epoll_wait brings an edge for it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DESCRIPTORS = 64 };

static struct {
	bool edge;          /* registered edge-triggered, as `data` */
	bool may_have_more; /* the last receive brought its byte */
	epoll_data_t data;
} watched[DESCRIPTORS];

static void *next(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

ssize_t recv(int fd, void *into, size_t size, int flags)
{
	static ssize_t (*real)(int, void *, size_t, int);
	ssize_t n;

	if (!real)
		*(void **)&real = next("recv");
	n = real(fd, into, size ? 1 : 0, flags);
	if (fd < DESCRIPTORS)
		watched[fd].may_have_more = n == 1;
	return n;
}

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
	static int (*real)(int, int, int, struct epoll_event *);

	if (!real)
		*(void **)&real = next("epoll_ctl");
	if (fd < DESCRIPTORS) {
		watched[fd].edge = operation != EPOLL_CTL_DEL && event->events & EPOLLET;
		watched[fd].data = event->data;
	}
	return real(epoll, operation, fd, event);
}

int epoll_wait(int epoll, struct epoll_event *events, int size, int timeout)
{
	static int (*real)(int, struct epoll_event *, int, int);
	int edges = 0;
	int n;

	if (!real)
		*(void **)&real = next("epoll_wait");
	for (int fd = 0; fd < DESCRIPTORS && edges < size - 1; fd++)
		if (watched[fd].edge && watched[fd].may_have_more) {
			watched[fd].may_have_more = false;
			events[edges++] = (struct epoll_event){ EPOLLIN, watched[fd].data };
		}
	n = real(epoll, events + edges, size - edges, edges ? 0 : timeout);
	return n < 0 && !edges ? n : edges + (n < 0 ? 0 : n);
}

int close(int fd)
{
	static int (*real)(int);

	if (!real)
		*(void **)&real = next("close");
	if (fd >= 0 && fd < DESCRIPTORS)
		watched[fd].edge = false;
	return real(fd);
}

/* Not a Unix socket, by which Wine talks to its server. */
static bool is_tcp(int fd)
{
	int domain = AF_UNIX;
	int type = 0;
	socklen_t length = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain != AF_UNIX &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM;
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	static ssize_t (*real)(int, struct msghdr *, int);
	struct msghdr shorter = *message;
	struct iovec one = { 0 };
	ssize_t n;

	if (!real)
		*(void **)&real = next("recvmsg");
	if (!is_tcp(fd))
		return real(fd, message, flags);
	for (size_t i = 0; i < message->msg_iovlen && !one.iov_len; i++)
		if (message->msg_iov[i].iov_len)
			one = (struct iovec){ message->msg_iov[i].iov_base, 1 };
	shorter.msg_iov = &one;
	shorter.msg_iovlen = 1;
	n = real(fd, &shorter, flags);
	shorter.msg_iov = message->msg_iov;
	shorter.msg_iovlen = message->msg_iovlen;
	*message = shorter;
	return n;
}
