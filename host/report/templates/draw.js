const charts = JSON.parse(document.getElementById("charts").textContent);
for (const [name, chart] of Object.entries(charts)) {
  Plotly.newPlot("chart-" + name, chart.data, chart.layout,
    {responsive: true, displayModeBar: false});
}
