/*
 * Receives through a queue of device memory while a thread writes anything anywhere in what
 * is shared with the kernel, and lets the kernel make of that what it does.
 *
 *   scribbler ADDRESS CALLS
 *
 * Says `{"port":…}` on file descriptor 4, waits for a connection, and reads it to its end,
 * but at most CALLS times.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>

#include "program.h"
#include "queue.h"

#define ENTRIES 64
#define COOKIES 128
#define BUFFER (1 << 20)
/* Kernel: ETOOSMALL */
#define TOO_SMALL 525
/* How many calls there are until the socket leaves, and comes back by another cookie. */
#define ATTACHED 16

static char buffer[BUFFER];

/* xorshift32 */
static uint32_t draw(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* Mostly what could be right, so that the kernel goes on to what could be wrong with it. */
static void *scribble(void *shared)
{
	const struct queue *queue = shared;
	volatile uint32_t *words = (volatile uint32_t *)queue->map;
	volatile uint32_t *returns = (volatile uint32_t *)queue->returns;
	uint32_t state = 1, word, before;

	for (;;) {
		uint32_t value = draw(&state) % COOKIES;

		switch (draw(&state) % 8) {
		case 0:
			queue->map->return_producer = queue->map->return_consumer + value;
			break;
		case 1:
			queue->map->fragment_consumer = queue->map->fragment_producer - value;
			break;
		case 2:
			word = draw(&state) % (queue->size / sizeof(*words));
			before = words[word];
			words[word] = draw(&state);
			/* What this goes by itself, with luck not while the kernel writes it. */
			if (word < sizeof(*queue->map) / sizeof(*words))
				words[word] = before;
			break;
		default:
			returns[draw(&state) % (ENTRIES * 4)] = draw(&state) % 4 ? value : 0;
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct iovec io = { buffer, BUFFER };
	struct msghdr message = { .msg_iov = &io, .msg_iovlen = 1 };
	struct pollfd ready = { .events = POLLIN };
	struct queue queue;
	pthread_t thread;
	ssize_t got = -1;

	if (argc != 3)
		return 64;
	ready.fd = listen_on(argv[1]);
	if (queue_open(&queue, ready.fd, ENTRIES, ENTRIES))
		fail("queue");
	ready.fd = accept(ready.fd, NULL, NULL);
	if (queue_attach(ready.fd, queue.fd, 0))
		fail("attach");
	if (pthread_create(&thread, NULL, scribble, &queue))
		fail("thread");
	for (uint32_t calls = 1; got != 0 && calls <= strtoul(argv[2], NULL, 10); calls++) {
		/* What was given back by chance is not what the sender waits for. */
		poll(&ready, 1, 10);
		got = recvmsg(ready.fd, &message, MSG_SOCK_DEVMEM | MSG_DONTWAIT);
		if (got < 0 && errno != EAGAIN && errno != TOO_SMALL)
			fail("recvmsg");
		if (queue_flush(&queue) < 0)
			fail("flush");
		if (calls % ATTACHED == 0 &&
		    (queue_detach(ready.fd) || queue_attach(ready.fd, queue.fd, calls % COOKIES)))
			fail("reattach");
	}
	dprintf(REPORT, "{\"outcome\":{}}\n");
	return 0;
}
