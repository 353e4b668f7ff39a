/** Operations and events. */
export const texts = {
  'column.event': 'Event',
  'column.reporter': 'Told by',
  'column.time': 'Time',
  'column.took': 'Took',
  'events.filter': 'Filter the events',
  'operations.noneText': 'Whatever takes a while stands here: creating, moving, taking snapshots.',
  calledOff: 'Call off',
  'calledOff.one': 'Call off: {{what}}',
  'events.against': 'Against it',
  'events.before': 'What came before',
  'events.decision': 'The decision behind it',
  'events.merits': 'For it',
  'events.why': 'Why?',
  'events.whyColumn': 'Reasons',
  'events.whyOne': 'Why? {{message}}',
} as const
