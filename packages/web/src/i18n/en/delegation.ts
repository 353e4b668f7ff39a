/** What is given and taken back within a project. */
export const texts = {
  'delegation.actions': 'Actions',
  'delegation.administrator': 'an administrator',
  'delegation.ask': 'Give a role on {{name}}',
  'delegation.by': 'Given by',
  'delegation.give': 'Give a role',
  'delegation.kind.group': 'group',
  'delegation.kind.token': 'token',
  'delegation.kind.user': 'user',
  'delegation.nobody': 'There is nobody whom you may name: an administrator adds groups as people of the project.',
  'delegation.role': 'Role',
  'delegation.roles': 'Those that include nothing that you lack yourself',
  'delegation.take': 'Take back',
  'delegation.theirs': 'An administrator has given it, and takes it back',
  'delegation.where': 'On',
  'delegation.who': 'Who',
} as const
