/* The subcommands: each reads its arguments, runs, and prints one JSON object. */
#ifndef LOADS_H
#define LOADS_H

void load_dhcp(void);
void load_tftp(void);
void load_http(void);
void load_storm(void);

#endif
