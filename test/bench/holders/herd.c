/*
 * A herd of processes to look for holders in: herd PROCESSES FILES regular|mix MAPPINGS NODE HOLDERS
 * DIRECTORY
 *
 * Each process has FILES descriptors (the three standard ones among them) and MAPPINGS mapped pages of files
 * besides its own. In a mix a third is regular files; the others are sockets, pipes, /dev/null and eventfds.
 * HOLDERS of them, evenly spread, have NODE open once more. SIGUSR1 makes each run for a moment. All end with
 * the first.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void wake(int signal) { (void)signal; }

static int regular(const char *directory, int process, int n) {
  char path[512];
  snprintf(path, sizeof path, "%s/%d-%d", directory, process, n);
  int fd = open(path, O_RDWR | O_CREAT, 0600);
  if (fd < 0 || ftruncate(fd, 4096) < 0) {
    perror(path);
    exit(1);
  }
  return fd;
}

int main(int argc, char **argv) {
  if (argc != 8) return 2;
  int processes = atoi(argv[1]), files = atoi(argv[2]), mix = !strcmp(argv[3], "mix");
  int mappings = atoi(argv[4]), holders = atoi(argv[6]), ready[2], pair[2];
  const char *node = argv[5], *directory = argv[7];
  char byte = 0;
  signal(SIGUSR1, wake);
  if (pipe2(ready, O_CLOEXEC) < 0) return 1;
  for (int i = 0; i < processes; i++) {
    pid_t pid = fork();
    if (pid < 0) {
      perror("fork");
      return 1;
    }
    if (pid > 0) continue;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int have = 3, n = 0; have < files; n++) {
      switch (mix ? n % 6 : 0) {
        case 2: have += socket(AF_UNIX, SOCK_STREAM, 0) >= 0; break;
        case 3: have += pipe(pair) == 0 ? 2 : 0; break;
        case 4: have += open("/dev/null", O_RDWR) >= 0; break;
        case 5: have += eventfd(0, 0) >= 0; break;
        default: regular(directory, i, n); have++;
      }
    }
    int mapped = mappings > 0 ? open("/bin/sh", O_RDONLY) : -1;
    /* Every other page, so that the kernel does not make one mapping of them. */
    char *at = mmap(NULL, 8192 * (mappings + 1), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int m = 0; m < mappings; m++)
      mmap(at + 8192 * m, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED, mapped, 0);
    if (mapped >= 0) close(mapped);
    if (holders > 0 && i % (processes / holders) == 0 && open(node, O_RDONLY) < 0) perror(node);
    if (write(ready[1], &byte, 1) != 1) return 1;
    close(ready[0]);
    close(ready[1]);
    for (;;) pause();
  }
  for (int i = 0; i < processes; i++)
    if (read(ready[0], &byte, 1) != 1) return 1;
  printf("ready\n");
  fflush(stdout);
  for (;;) pause();
}
