export const texts: Record<string, string> = {
  'column.event': 'Événement',
  'column.reporter': 'Rapporté par',
  'column.time': 'Heure',
  'column.took': 'Durée',
  'events.filter': 'Filtrer les événements',
  'operations.noneText': 'Ici se trouve tout ce qui dure : créer, déplacer, prendre des instantanés.',
}
