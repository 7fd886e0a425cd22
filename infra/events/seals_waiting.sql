-- What is final and not sealed yet: when its first event was recorded, and whether it fills a block.
select
    (select recorded_at from {table} where position > %(after)s and position <= %(upto)s order by position limit 1),
    exists (
        select from {table} where position > %(after)s and position <= %(upto)s
        order by position offset %(block)s - 1 limit 1
    )
