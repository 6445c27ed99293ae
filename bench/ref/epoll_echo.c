/*
 * The smallest echo server over level-triggered epoll that is right: what a peer does not take waits
 * in the client's buffer, and meanwhile nothing more is received from it. Prints its port.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SIZE = 64 * 1024, EVENTS = 256 };

struct client {
	int fd;
	size_t length; /* received, and not sent yet */
	char *unsent;
};

static int loop;
static char buffer[SIZE];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void watch(struct client *client, int operation, unsigned events)
{
	struct epoll_event event = { .events = events, .data.ptr = client };

	if (epoll_ctl(loop, operation, client->fd, &event) < 0)
		die("epoll_ctl");
}

static void leave(struct client *client)
{
	close(client->fd);
	free(client->unsent);
	free(client);
}

static void accept_one(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct client *client;

	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	client = calloc(1, sizeof(*client));
	if (!client)
		die("calloc");
	client->fd = fd;
	watch(client, EPOLL_CTL_ADD, EPOLLIN);
} /* NOLINT(clang-analyzer-unix.Malloc): epoll keeps the client */

static void keep(struct client *client, const char *data, size_t length)
{
	client->unsent = malloc(length);
	if (!client->unsent)
		die("malloc");
	memcpy(client->unsent, data, length);
	client->length = length;
	watch(client, EPOLL_CTL_MOD, EPOLLOUT);
}

static void receive(struct client *client)
{
	ssize_t n = recv(client->fd, buffer, SIZE, 0);
	ssize_t sent;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		leave(client);
		return;
	}
	sent = send(client->fd, buffer, (size_t)n, MSG_NOSIGNAL);
	if (sent < 0 && errno == EAGAIN)
		sent = 0;
	if (sent < 0)
		leave(client);
	else if (sent < n)
		keep(client, buffer + sent, (size_t)(n - sent));
}

static void send_rest(struct client *client)
{
	ssize_t sent = send(client->fd, client->unsent, client->length, MSG_NOSIGNAL);

	if (sent < 0 && errno == EAGAIN)
		return;
	if (sent < 0) {
		leave(client);
		return;
	}
	client->length -= (size_t)sent;
	memmove(client->unsent, client->unsent + sent, client->length);
	if (client->length)
		return;
	free(client->unsent);
	client->unsent = NULL;
	watch(client, EPOLL_CTL_MOD, EPOLLIN);
}

static int listen_anywhere(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) < 0 ||
		listen(fd, SOMAXCONN) < 0 ||
		getsockname(fd, (struct sockaddr *)&address, &length) < 0)
		die("listen");
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	return fd;
}

int main(void)
{
	struct epoll_event events[EVENTS];
	struct rlimit limit;
	int listener = listen_anywhere();

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	loop = epoll_create1(EPOLL_CLOEXEC);
	events[0] = (struct epoll_event){ .events = EPOLLIN };
	epoll_ctl(loop, EPOLL_CTL_ADD, listener, &events[0]);
	for (;;) {
		int n = epoll_wait(loop, events, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			struct client *client = events[i].data.ptr;

			if (!client)
				accept_one(listener);
			else if (client->length)
				send_rest(client);
			else
				receive(client);
		}
	}
}
