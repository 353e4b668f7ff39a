import { DatabaseSync } from 'node:sqlite'

/**
 * A database of what happened on this host, as SQLite that comes with Node. `schema` makes what is not there yet. The
 * newest lines may go with a loss of power: nothing of the cluster depends on them.
 */
export function openHistoryDatabase(path: string, schema: string): DatabaseSync {
  const database = new DatabaseSync(path)
  database.exec(`
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    ${schema}
  `)
  return database
}
