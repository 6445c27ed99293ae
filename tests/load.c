/*
 * A load for echo servers: opens idle and busy connections to 127.0.0.1, then at each line on stdin
 * makes the busy ones do round trips, one outstanding on each, and tells when they are done.
 *
 *	load PORT IDLE BUSY TRIPS SIZE
 *
 * It prints "ready" once everything is connected, then "done NANOSECONDS" for each line read: the
 * wall time of TRIPS round trips over all busy connections together. It ends at the end of stdin.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct client {
	int fd;
	size_t received; /* bytes of the reply to what was sent last */
};

static char message[65536];

_Noreturn static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int dial(int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static void ask(const struct client *client, size_t size)
{
	if (send(client->fd, message, size, MSG_NOSIGNAL) != (ssize_t)size)
		die("send");
}

/* True once the whole reply is there. */
static int take_reply(struct client *client, size_t size)
{
	static char reply[65536];
	ssize_t n = recv(client->fd, reply, sizeof(reply), MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		die("recv");
	if (n > 0 && (client->received + (size_t)n > size ||
			     memcmp(reply, message + client->received, (size_t)n) != 0)) {
		fputs("the reply is not what was sent\n", stderr);
		exit(1);
	}
	if (n > 0)
		client->received += (size_t)n;
	if (client->received < size)
		return 0;
	client->received = 0;
	return 1;
}

static void run(int epoll, struct client *clients, long busy, long trips, size_t size)
{
	struct epoll_event events[256];
	long asked = 0;
	long done = 0;

	for (long i = 0; i < busy && asked < trips; i++, asked++)
		ask(&clients[i], size);
	while (done < trips) {
		int ready = epoll_wait(epoll, events, 256, 60000);

		if (ready <= 0)
			die("no reply within 60 s");
		for (int i = 0; i < ready; i++) {
			struct client *client = events[i].data.ptr;

			if (!take_reply(client, size))
				continue;
			done++;
			if (asked < trips) {
				ask(client, size);
				asked++;
			}
		}
	}
}

int main(int argc, char **argv)
{
	struct rlimit limit;
	char line[16];

	if (argc != 6) {
		fprintf(stderr, "usage: load PORT IDLE BUSY TRIPS SIZE\n");
		return 2;
	}
	int port = atoi(argv[1]);
	long idle = atol(argv[2]);
	long busy = atol(argv[3]);
	long trips = atol(argv[4]);
	size_t size = (size_t)atol(argv[5]);
	struct client *clients = calloc((size_t)busy + 1, sizeof(*clients));
	int epoll = epoll_create1(0);

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (!clients || epoll < 0 || size > sizeof(message))
		die("start");
	for (size_t i = 0; i < size; i++)
		message[i] = (char)(i % 251);
	for (long i = 0; i < idle; i++)
		dial(port);
	for (long i = 0; i < busy; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = &clients[i] };

		clients[i].fd = dial(port);
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, clients[i].fd, &event) < 0)
			die("epoll_ctl");
	}
	if (busy) /* a reply from the last to come means that all are accepted */
		run(epoll, clients + busy - 1, 1, 1, 1);
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		struct timespec begin, end;

		clock_gettime(CLOCK_MONOTONIC, &begin);
		run(epoll, clients, busy, trips, size);
		clock_gettime(CLOCK_MONOTONIC, &end);
		printf("done %lld\n", (long long)(end.tv_sec - begin.tv_sec) * 1000000000 +
					      (end.tv_nsec - begin.tv_nsec));
		fflush(stdout);
	}
	free(clients);
	return 0;
}
