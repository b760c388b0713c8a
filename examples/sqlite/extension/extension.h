/* extension.h: SQLite's functions as an extension reaches them. */
#include <sqlite3ext.h>
extern const sqlite3_api_routines *sqlite3_api;
