#include "script.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HTTP "http://"

const char *url_read(struct url *url, const char *text)
{
    char host[32];
    unsigned port = 80;
    int after = 0;
    struct in_addr address;

    if (strncmp(text, HTTP, strlen(HTTP)) != 0)
        return "no http:// address";
    text += strlen(HTTP);
    if (sscanf(text, "%31[0-9.]%n", host, &after) != 1 || !inet_aton(host, &address))
        return "no IPv4 address in the URL";
    text += after;
    if (sscanf(text, ":%u%n", &port, &after) == 1)
        text += after;
    size_t size = strcspn(text, " \t\r\n");
    if (*text != '/' || size >= sizeof url->path || port > 65535)
        return "no path in the URL";
    url->host = address.s_addr;
    url->port = (uint16_t)port;
    memcpy(url->path, text, size);
    url->path[size] = '\0';
    return NULL;
}

/* "kernel [--option value]… URL …": the first word with a scheme. */
static const char *add_file(struct script *script, const char *line, bool kernel)
{
    const char *address = strstr(line, HTTP);
    unsigned place = kernel ? 0 : script->count;

    if (!address)
        return "a file without an http:// address";
    if (kernel && script->count)
        return "a second kernel";
    if (!kernel && !script->count)
        return "an initrd before the kernel";
    if (place == SCRIPT_FILES)
        return "too many files";
    script->count = place + 1;
    return url_read(&script->files[place], address);
}

static const char *chain(struct script *script, const char *line)
{
    const char *address = strstr(line, HTTP);

    if (!address)
        return "a script without an http:// address";
    script->chains = true;
    const char *wrong = url_read(&script->next, address);
    script->next.path[strcspn(script->next.path, "?")] = '\0';
    return wrong;
}

static const char *read_line(struct script *script, const char *line)
{
    const char *timeout = strstr(line, "--timeout ");

    if (strncmp(line, "kernel ", 7) == 0)
        return add_file(script, line, true);
    if (strncmp(line, "initrd ", 7) == 0 || strncmp(line, "module ", 7) == 0)
        return add_file(script, line, false);
    if (strncmp(line, "chain ", 6) == 0 && !script->chains)
        return chain(script, line);
    /* Pauses before the next script: nobody presses a key. */
    if (strncmp(line, "sleep ", 6) == 0 && !script->chains)
        script->pause += strtod(line + 6, NULL);
    if (strncmp(line, "prompt ", 7) == 0 && timeout && !script->chains)
        script->pause += strtod(timeout + 10, NULL) / 1e3;
    return NULL;
}

const char *script_read(struct script *script, const char *text)
{
    char line[TEXT_ROOM * 2];

    *script = (struct script){0};
    if (strncmp(text, "#!ipxe", 6) != 0)
        return "no script of iPXE";
    while (*text) {
        size_t size = strcspn(text, "\n");

        snprintf(line, sizeof line, "%.*s", (int)size, text);
        const char *wrong = read_line(script, line);
        if (wrong)
            return wrong;
        text += size + (text[size] == '\n');
    }
    return script->count || script->chains ? NULL : "a script that loads nothing";
}
