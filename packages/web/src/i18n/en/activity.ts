/** Operations and events. */
export const texts = {
  'column.event': 'Event',
  'column.reporter': 'Told by',
  'column.time': 'Time',
  'column.took': 'Took',
  'events.filter': 'Filter the events',
  'operations.noneText': 'Whatever takes a while stands here: creating, moving, taking snapshots.',
} as const
