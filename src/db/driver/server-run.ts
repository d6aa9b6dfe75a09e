/**
 * The run of the server. It changes with the server, with its start, and with each recovery from a crash, which resets
 * the statistics: with every event that ends all of its connections and may lose transactions that were not on disk yet.
 */
export const serverRunSql =
  "extract(epoch from pg_postmaster_start_time()) || ' ' || extract(epoch from pg_stat_get_bgwriter_stat_reset_time())";
