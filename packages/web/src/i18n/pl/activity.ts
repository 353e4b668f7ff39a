export const texts: Record<string, string> = {
  'column.event': 'Zdarzenie',
  'column.reporter': 'Zgłosił',
  'column.time': 'Czas',
  'column.took': 'Trwało',
  'events.filter': 'Filtruj zdarzenia',
  'operations.noneText': 'Tu jest wszystko, co trwa: tworzenie, przenoszenie, migawki.',
}
