-- Sessions that started together send their heartbeats together, so one page of the log may touch every row of a page of
-- the table. With less than half of it filled all of them find room beside the old ones, and no index is written.

alter table read_model.sessions set (fillfactor = 45);
