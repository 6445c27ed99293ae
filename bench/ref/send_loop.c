/*
 * The smallest one-to-many server: send_loop COUNT accepts so many subscribers and then sends each
 * all that stdin brings. Prints its port.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(1);
}

int main(int argc, char **argv)
{
	static char buffer[64 * 1024];
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	struct rlimit limit;
	long count = argc > 1 ? atol(argv[1]) : 1;
	int *subscribers = calloc((size_t)count, sizeof(*subscribers));
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	ssize_t n;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (!subscribers || listener < 0 ||
		bind(listener, (struct sockaddr *)&address, length) < 0 ||
		listen(listener, SOMAXCONN) < 0 ||
		getsockname(listener, (struct sockaddr *)&address, &length) < 0)
		die("listen");
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	for (long i = 0; i < count; i++) {
		subscribers[i] = accept(listener, NULL, NULL);
		if (subscribers[i] < 0)
			die("accept");
		setsockopt(subscribers[i], IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	}
	while ((n = read(STDIN_FILENO, buffer, sizeof(buffer))) > 0)
		for (long i = 0; i < count; i++)
			if (send(subscribers[i], buffer, (size_t)n, MSG_NOSIGNAL) != n)
				die("send");
	free(subscribers);
	return 0;
}
