/* What there is to beat: lists /proc/PID/fd of every process and reads every link in it, and nothing else. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void) {
  DIR *proc = opendir("/proc");
  struct dirent *process, *fd;
  char path[600], target[4096];
  long links = 0;
  if (proc == NULL) return 1;
  while ((process = readdir(proc)) != NULL) {
    if (process->d_name[0] < '1' || process->d_name[0] > '9') continue;
    int length = snprintf(path, 300, "/proc/%s/fd", process->d_name);
    DIR *table = opendir(path);
    if (table == NULL) continue;
    while ((fd = readdir(table)) != NULL) {
      if (fd->d_name[0] == '.') continue;
      snprintf(path + length, sizeof path - length, "/%s", fd->d_name);
      if (readlink(path, target, sizeof target) > 0) links++;
    }
    closedir(table);
  }
  printf("%ld\n", links);
  return 0;
}
