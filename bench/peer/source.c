/*
 * The other end of every measurement: a server that sends what it is asked for, with as
 * little of its own as can be.
 *
 *   source HOST              listens, and prints the port
 *   source HOST PORT BYTES   sends BYTES to a server, and prints the seconds until that
 *                            has closed the connection
 *
 * A client begins with 8 bytes, a number in the machine's byte order: how many bytes it
 * wants. 0 stands for an echo of whatever it sends from then on. Each connection has a
 * process of its own; the server ends with its standard input.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

#define PIECE (256 << 10)

static char piece[PIECE];

static int open_server(const char *host)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	struct addrinfo *found;
	char port[8];
	int fd;

	if (getaddrinfo(host, "0", &hints, &found))
		fail(host);
	fd = socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) || listen(fd, 128))
		fail("listen");
	freeaddrinfo(found);
	if (getsockname(fd, (struct sockaddr *)&address, &length) ||
	    getnameinfo((struct sockaddr *)&address, length, NULL, 0, port, sizeof(port),
			NI_NUMERICSERV))
		fail("getsockname");
	printf("%s\n", port);
	fflush(stdout);
	return fd;
}

static void echo(int fd)
{
	int on = 1;
	ssize_t got;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	while ((got = recv(fd, piece, sizeof(piece), 0)) > 0)
		if (send(fd, piece, (size_t)got, MSG_NOSIGNAL) != got)
			return;
}

static void send_bytes(int fd, uint64_t left)
{
	while (left) {
		size_t most = left < sizeof(piece) ? left : sizeof(piece);
		ssize_t sent = send(fd, piece, most, MSG_NOSIGNAL);

		if (sent < 0)
			return;
		left -= (uint64_t)sent;
	}
	shutdown(fd, SHUT_WR);
	/* Until the client has closed its end too. */
	while (recv(fd, piece, sizeof(piece), 0) > 0)
		;
}

static void serve(int fd)
{
	uint64_t wanted;

	if (recv(fd, &wanted, sizeof(wanted), MSG_WAITALL) != sizeof(wanted))
		return;
	if (wanted)
		send_bytes(fd, wanted);
	else
		echo(fd);
}

static int send_to(const char *host, const char *port, uint64_t bytes)
{
	double start = now();
	int fd = connect_to(host, port);

	send_bytes(fd, bytes);
	printf("%.6f\n", now() - start);
	return 0;
}

static int listen_on(const char *host)
{
	int server = open_server(host);
	struct pollfd ready[] = { { server, POLLIN, 0 }, { 0, POLLIN, 0 } };

	signal(SIGCHLD, SIG_IGN);
	while (poll(ready, 2, -1) >= 0) {
		int fd;

		if (ready[1].revents)
			return 0;
		fd = accept4(server, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			fail("accept");
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(server);
			serve(fd);
			_exit(0);
		}
		close(fd);
	}
	fail("poll");
	return 1;
}

int main(int argc, char **argv)
{
	memset(piece, 'x', sizeof(piece));
	if (argc == 4)
		return send_to(argv[1], argv[2], strtoull(argv[3], NULL, 10));
	return listen_on(argc > 1 ? argv[1] : "127.0.0.1");
}
