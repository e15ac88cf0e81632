/*
 * Sends endless streams, to whoever connects: first come 8 bytes, the seed of the stream.
 * Pieces are of any size, so packets are, too.
 *
 *   source ADDRESS
 *
 * Says `{"port":…}` on file descriptor 4. Ends with its standard input.
 */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <unistd.h>

#include "program.h"
#include "stream.h"

#define WORDS 4096
#define WAITING 128

static void *serve(void *argument)
{
	int fd = (int)(intptr_t)argument, on = 1;
	uint64_t seed, position = 0, words[WORDS];
	size_t count;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (recv(fd, &seed, sizeof(seed), MSG_WAITALL) == sizeof(seed))
		do {
			count = 1 + stream_word(~seed, position) % WORDS;
			stream_fill(seed, position, words, count);
			position += count * sizeof(*words);
		} while (send(fd, words, count * sizeof(*words), MSG_NOSIGNAL) ==
			 (ssize_t)(count * sizeof(*words)));
	close(fd);
	return NULL;
}

static void *accept_all(void *argument)
{
	const int *listener = argument;
	pthread_attr_t detached;
	pthread_t thread;
	int fd;

	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	for (;;) {
		fd = accept(*listener, NULL, NULL);
		/* Who has left before is none to wait for. */
		if (fd >= 0 && pthread_create(&thread, &detached, serve, (void *)(intptr_t)fd))
			fail("thread");
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	int listener;
	char byte;

	if (argc != 2)
		return 64;
	listener = listen_on(argv[1], WAITING);
	if (pthread_create(&thread, NULL, accept_all, &listener))
		fail("thread");
	return read(STDIN_FILENO, &byte, sizeof(byte)) != 0;
}
